"""What Locust's own tables say of latencies that were measured outside its clients."""

from __future__ import annotations

import random
from typing import Any

from locust.env import Environment

from loadkit.swarm.samples import FIRED_AT_ONCE, Samples


def started() -> tuple[Environment, list[dict[str, Any]]]:
    """Return an environment whose tables listen, and the samples that listeners of its own were told of."""
    environment, told = Environment(), []
    environment.create_local_runner()  # which is what makes the tables listen
    environment.events.request.add_listener(lambda **sample: told.append(sample))
    return environment, told


def test_the_table_of_a_sum_is_the_table_of_its_samples() -> None:
    """Summed or logged one by one: the same counts, extremes, average and buckets, for the name and for all together."""
    rng = random.Random(3)
    values_us = [rng.choice((rng.randint(0, 2000), rng.randint(0, 200_000), rng.randint(0, 40_000_000))) | 1 for _ in range(5000)]
    (ours, _), (theirs, _) = started(), started()
    samples = Samples(ours)
    add = samples.into("reply.response")
    for value_us in values_us[:2500]:
        add(value_us)
    samples.flush()
    for value_us in values_us[2500:]:
        samples.cable("reply.response", value_us)
    samples.flush()
    for value_us in values_us:
        theirs.stats.log_request("CABLE", "reply.response", value_us / 1e3, 0)  # type: ignore[arg-type]
    for one, other in (
        (ours.stats.total, theirs.stats.total),
        (ours.stats.get("reply.response", "CABLE"), theirs.stats.get("reply.response", "CABLE")),
    ):
        assert one.num_requests == sum(one.num_reqs_per_sec.values()) == len(values_us)
        assert (one.min_response_time, one.max_response_time) == (other.min_response_time, other.max_response_time)
        assert round(one.avg_response_time, 6) == round(other.avg_response_time, 6)
        assert dict(one.response_times) == dict(other.response_times)


def test_listeners_are_told_of_a_bounded_spread_of_samples_and_no_count_is_lost() -> None:
    """However many there are, some two hundred are fired; the rest is counted all the same."""
    environment, told = started()
    samples = Samples(environment)
    for n in range(10_000):
        samples.cable("reply.response", n * 1000)
    samples.missing("reply.response", "lost")
    samples.flush()
    samples.flush()
    assert FIRED_AT_ONCE / 2 < len(told) <= FIRED_AT_ONCE + 2
    assert environment.stats.total.num_requests == 10_001
    assert environment.stats.total.num_failures == 1
    assert max(sample["response_time"] or 0 for sample in told) > 9900


def test_few_samples_are_all_fired() -> None:
    """A quiet run's listeners see everything."""
    environment, told = started()
    samples = Samples(environment)
    for value_us in (1500, 2500):
        samples.cable("echo.delivery", value_us)
    samples.http("POST", "agent.message.create", 900, 10, "")
    samples.flush()
    assert sorted(sample["response_time"] for sample in told) == [0.9, 1.5, 2.5]
