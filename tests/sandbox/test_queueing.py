"""The queues that are known: with exponential times and no lock the front is an M/M/c, with the lock an M/M/1, and the jobs are an M/M/c.

All of it in virtual time, so a seed decides every figure; theory must lie in the interval that the sample itself allows.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
import pytest

from loadkit.sandbox.pauses import MOST_OWED_S, Pauses
from loadkit.sandbox.pipeline import HELD, REBUILD, Pipeline
from loadkit.sandbox.service import REAL_POST_S, SAVED, Kind, Service
from tests.sandbox.virtual import VirtualTime

MEAN_S = 0.02
ARRIVALS = 12_000
BATCHES = 20  # of 600 arrivals each: long against the time in which a queue at these loads forgets, so their means are nearly independent
T_999 = 3.88  # Student's t with 19 degrees of freedom: a right queue misses this interval once in a thousand seeds


def erlang_wait(load: float, servers: int, mean: float) -> float:
    """Return the mean wait of an M/M/c that is offered `load` erlangs of work in pieces of `mean` seconds."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last) * mean / (servers - load)


def estimate(values: list[float]) -> tuple[float, float]:
    """Return the mean of a correlated sample and the half width of its 99.9 % interval, by the means of its batches."""
    size = len(values) // BATCHES
    means = [statistics.fmean(values[n * size : (n + 1) * size]) for n in range(BATCHES)]
    return statistics.fmean(means), T_999 * statistics.stdev(means) / math.sqrt(BATCHES)


@dataclass
class Line:
    """Poisson arrivals at the queues of one server, in virtual time; what becomes of them is told in seconds."""

    servers: int
    seed: int
    lock: float = 0.0
    time: VirtualTime = field(default_factory=VirtualTime)

    def pipeline(self) -> Pipeline:
        options = {"http_threads": self.servers, "jobs": self.servers, "seed": self.seed, "lock": self.lock}
        return Pipeline(Service.parse("exponential:20ms"), **options, pauses=lambda: Pauses(self.time.sleep, self.time.now))  # type: ignore[arg-type]

    def arrive(self, rate: float, come: Callable[[float], None]) -> None:
        """Call `come` with its moment, in a greenlet of its own, at each of the arrivals."""
        rng = random.Random(f"arrivals {self.seed}")
        for _ in range(ARRIVALS):
            self.time.sleep(rng.expovariate(rate))
            gevent.spawn(come, self.time.now())

    def posts(self, rate: float) -> tuple[list[float], list[float]]:
        """Return the waits and the service times of POSTs."""
        pipeline = self.pipeline()
        waits: list[float] = []
        services: list[float] = []

        def post(arrived: float) -> None:
            saved, _ = pipeline.serve("POST", self.time.now)
            services.append((self.time.now() - saved) / (1 - SAVED))
            waits.append(self.time.now() - services[-1] - arrived)

        gevent.spawn(self.arrive, rate, post)
        self.time.run(until=lambda: len(waits) == ARRIVALS)
        return waits, services

    def jobs(self, kind: Kind, rate: float) -> list[float]:
        """Return the times of jobs of one kind from being queued to being done."""
        pipeline = self.pipeline()
        stays: list[float] = []
        pipeline.start()
        gevent.spawn(self.arrive, rate, lambda arrived: pipeline.queue(kind, lambda: stays.append(self.time.now() - arrived), recipients=0))
        self.time.run(until=lambda: len(stays) == ARRIVALS)
        pipeline.stop()
        return stays


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.6), (2, 0.5), (2, 0.8), (5, 0.8)])
def test_without_the_lock_posts_meet_an_m_m_c(servers: int, utilisation: float) -> None:
    """Their mean wait is Erlang's, their mean service what was asked for, and a post that meets a free server waits for nothing."""
    waits, services = Line(servers, seed=1).posts(utilisation * servers / MEAN_S)
    wait, slack = estimate(waits)
    assert wait == pytest.approx(erlang_wait(utilisation * servers, servers, MEAN_S), abs=slack)
    assert slack < wait / 2
    mean, slack = estimate(services)
    assert mean == pytest.approx(MEAN_S, abs=slack)
    assert min(waits) == pytest.approx(0, abs=1e-9)


def test_with_the_lock_five_threads_are_one_server() -> None:
    """At a load that five servers would hardly notice posts wait as in an M/M/1 whose service is the share that holds the lock."""
    utilisation = 0.7
    waits, _ = Line(5, seed=1, lock=HELD).posts(utilisation / (MEAN_S * HELD))
    wait, slack = estimate(waits)
    assert wait == pytest.approx(erlang_wait(utilisation, 1, MEAN_S * HELD), abs=slack)
    assert wait - slack > 100 * erlang_wait(utilisation / HELD, 5, MEAN_S)


def test_half_the_lock_saturates_at_twice_the_rate() -> None:
    """Posts wait for it as in an M/M/1 of that half, at a rate that a whole lock could not serve."""
    waits, _ = Line(50, seed=1, lock=0.5).posts(1.2 / MEAN_S)
    wait, slack = estimate(waits)
    assert wait == pytest.approx(erlang_wait(0.6, 1, MEAN_S / 2), abs=slack)


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.6), (10, 0.9)])
def test_jobs_of_one_kind_meet_an_m_m_c(servers: int, utilisation: float) -> None:
    """They stay for Erlang's wait and one service, whose mean is the kind's median in proportion to the POST's."""
    mean = REBUILD.median * MEAN_S / REAL_POST_S
    stay, slack = estimate(Line(servers, seed=1).jobs(REBUILD, utilisation * servers / mean))
    assert stay == pytest.approx(erlang_wait(utilisation * servers, servers, mean) + mean, abs=slack)


def test_a_seed_decides_every_figure() -> None:
    """The same one gives the same waits to the last bit, another one others."""
    rate = 1.2 / MEAN_S
    first, again, other = (Line(2, seed=seed).posts(rate)[0] for seed in (1, 1, 2))
    assert first == again != other


def test_timers_that_wake_late_do_not_make_the_work_longer() -> None:
    """What pauses overslept is taken off the later ones, so that their sum is right; a long standstill is not made up for."""
    time = [0.0]

    def sleep(seconds: float) -> None:
        time[0] += seconds + 0.0007

    pauses = Pauses(sleep, lambda: time[0])
    for _ in range(1000):
        pauses.take(0.003)
    assert time[0] == pytest.approx(3.0, abs=0.001)
    pauses.during(lambda: sleep(5.0))
    began = time[0]
    for _ in range(100):
        pauses.take(0.003)
    assert time[0] - began == pytest.approx(0.3 - MOST_OWED_S, abs=0.001)
