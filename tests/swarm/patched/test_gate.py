"""The gate: every arrival is started with its lag or dropped with a reason, whatever happens to users, to the process and to shares."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import gevent
import pytest
from gevent import GreenletExit
from gevent.monkey import get_original

from loadkit import clock
from loadkit.measure.recorder import Recorder
from loadkit.swarm.gate import Gate
from loadkit.workload import profile
from loadkit.workload.arrivals import Schedule
from tests.support import eventually

S = 1_000_000
block = get_original("time", "sleep")
"""Stands the whole process still, as a long garbage collection does."""


class Noting(Recorder):
    """A recorder that also keeps every arrival's due (µs), and calls back at an offer, before anybody has it."""

    def __init__(self) -> None:
        super().__init__()
        self.dues: list[int] = []
        self.lags: list[int] = []
        self.on_offer: Any = None
        self.so_far: dict[str, int] = {}

    def latency(self, name: str, value_us: int, quality: str | None = None) -> None:
        self.dues.append(clock.now_us() - value_us)
        self.lags.append(value_us)
        super().latency(name, value_us, quality)

    def count(self, name: str, n: int = 1) -> None:
        if name == "schedule.offered" and self.on_offer:
            self.on_offer()
        self.so_far[name] = self.so_far.get(name, 0) + n
        super().count(name, n)


class Open:
    """A gate that is open, the greenlet that offers, and customers who stay `stays` seconds."""

    def __init__(
        self,
        rates: str,
        *,
        rank: int = 0,
        epochs: tuple[tuple[int, tuple[int, ...]], ...] = ((0, (0,)),),
        elapsed: float = 0.0,
        is_full: bool = False,
        seed: int = 1,
    ) -> None:
        plan = profile.arrivals(rates)
        self.recorder = Noting()
        self.gate = Gate(Schedule(plan.profile, poisson=plan.poisson, seed=seed), self.recorder, rank=rank, is_full=lambda _: is_full)
        self.failures: list[Any] = []
        self.users: list[gevent.Greenlet] = []
        self.runner = gevent.spawn(self.gate.run)
        self.runner.link_exception(self.failures.append)
        self.opened_us = clock.now_us() - round(elapsed * S)
        self.gate.open(elapsed, epochs)

    def user(self, stays: float = 30.0, *, again: bool = False) -> gevent.Greenlet:
        self.users.append(gevent.spawn(self._come, stays, again))
        return self.users[-1]

    def _come(self, stays: float, again: bool) -> None:
        finished = True
        while finished:
            self.gate.enter()
            try:
                gevent.sleep(stays)
            except GreenletExit:
                finished = False
                raise
            finally:
                self.gate.leave(finished=finished)
            finished = again

    def counted(self, name: str) -> int:
        return self.recorder.so_far.get(f"schedule.{name}", 0)

    def reasons(self) -> dict[str, int]:
        return {
            name.removeprefix("schedule.dropped."): n for name, n in self.recorder.so_far.items() if name.startswith("schedule.dropped.")
        }

    def end(self) -> None:
        """Close it, send everybody home, and hold that all are accounted for."""
        self.gate.close()
        gevent.killall(self.users)
        self.runner.join(timeout=5)
        assert self.runner.ready()
        assert not self.failures
        assert self.counted("offered") == self.counted("started") + self.counted("dropped"), self.recorder.so_far
        assert self.counted("dropped") == sum(self.reasons().values())
        assert len(self.recorder.lags) == self.counted("started")
        assert self.gate.inside == 0
        assert min(self.recorder.lags, default=0) >= 0

    def indices(self, a_second: float) -> list[int]:
        """Which arrivals of a constant rate were started here."""
        return [round((due_us - self.opened_us) / S * a_second - 0.5) for due_us in self.recorder.dues]


def test_an_idle_user_takes_an_arrival_at_its_time() -> None:
    """Each is started at or after its due, in order, and nearer to it than to the next one's."""
    one = Open("constant 0s:10/s,1s:10/s")
    for _ in range(12):
        one.user()
    eventually(lambda: one.counted("started") == 10)
    one.end()
    assert one.reasons() == {}
    assert one.indices(10) == list(range(10))
    assert median(one.recorder.lags) < S / 10 / 2


def test_an_arrival_that_nobody_is_free_for_is_carried_and_taken_late() -> None:
    """Its lag is from its due to its start."""
    one = Open("constant 0s:10/s,0.1s:10/s")
    eventually(lambda: one.counted("offered") == 1)
    gevent.sleep(0.3)
    before_us = clock.now_us()
    one.user()
    eventually(lambda: one.counted("started") == 1)
    one.end()
    assert one.recorder.lags[0] >= before_us - (one.opened_us + 50_000) - 10_000
    assert one.reasons() == {}


@pytest.mark.parametrize(("is_full", "reason"), [(True, "cap_reached"), (False, "no_idle_user")])
def test_an_arrival_that_nobody_takes_within_a_second_is_dropped(is_full: bool, reason: str) -> None:
    """With all the users there that were asked for the cap was reached; otherwise they had not come yet."""
    one = Open("constant 0s:10/s,0.1s:10/s", is_full=is_full)
    eventually(lambda: one.counted("dropped") == 1)
    assert clock.now_us() - one.opened_us >= 50_000 + S
    assert one.reasons() == {reason: 1}
    one.user()
    gevent.sleep(0.1)
    assert one.counted("started") == 0
    one.end()


def test_what_a_standing_process_missed_is_dropped_and_the_rest_goes_on() -> None:
    """Arrivals that fell due more than a second before the process woke up are `generator_late`; those after it are started in time."""
    one = Open("constant 0s:20/s,3s:20/s")
    for _ in range(70):
        one.user()
    eventually(lambda: one.counted("started") >= 5)
    block(1.6)
    woke = (clock.now_us() - one.opened_us) / S
    eventually(lambda: one.counted("offered") == 60)
    one.end()
    assert set(one.reasons()) == {"generator_late"}
    assert {n for n in range(60) if (n + 0.5) / 20 > woke} <= set(one.indices(20))
    assert min(one.recorder.lags[-5:]) < max(one.recorder.lags) / 2


def test_one_that_comes_late_starts_with_its_share_at_once() -> None:
    """Ten minutes of a busy schedule have passed: what was others' is passed over, not waited for."""
    first = 20 * 600 + 20
    late = Open("constant 20/s", rank=1, epochs=((0, (0,)), (first, (0, 1))), elapsed=600.0)
    for _ in range(50):
        late.user()
    eventually(lambda: late.counted("started") >= 5, within=4)
    late.end()
    started = late.indices(20)
    assert started == list(range(first + 1, first + 1 + 2 * len(started), 2))
    assert late.reasons() == {}


def test_word_of_shares_that_comes_again_moves_nothing() -> None:
    """The schedule began when it began, whatever `elapsed` a later word has."""
    one = Open("constant 0s:10/s,1s:10/s")
    for _ in range(12):
        one.user()
    eventually(lambda: one.counted("started") == 3)
    one.gate.open(77.0, [(0, (0,))])
    eventually(lambda: one.counted("started") == 10)
    one.end()
    assert one.indices(10) == list(range(10))


def test_a_user_killed_while_idle_withdraws() -> None:
    """The arrival that comes next is not given to the dead."""
    one = Open("constant 0s:2/s,0.5s:2/s")
    dead = one.user()
    gevent.sleep(0.05)
    dead.kill()
    eventually(lambda: one.counted("offered") == 1)
    one.user()
    eventually(lambda: one.counted("started") == 1)
    one.end()


@pytest.mark.parametrize("who_is_next", ["idle", "later", "nobody"])
def test_a_user_killed_in_the_moment_of_an_arrival_passes_it_on(who_is_next: str) -> None:
    """Given and not yet taken: the next idle user has it, or it is carried, or dropped when all is over."""
    one = Open("constant 0s:4/s,0.25s:4/s")
    unlucky = one.user()
    one.recorder.on_offer = lambda: unlucky.kill(block=False)
    if who_is_next == "idle":
        gevent.sleep(0.02)
        one.user()
    eventually(unlucky.ready)
    assert one.counted("offered") == 1
    assert unlucky.successful()
    if who_is_next == "later":
        one.user()
    gevent.sleep(0.02)
    assert one.counted("started") == (0 if who_is_next == "nobody" else 1)
    one.end()
    assert one.reasons() == ({"stopped": 1} if who_is_next == "nobody" else {})


def test_a_user_killed_in_the_moment_of_an_arrival_and_of_the_stop_drops_it() -> None:
    """Nobody is left to pass it to: it is dropped as `stopped`, once."""
    one = Open("constant 0s:4/s,0.25s:4/s")
    unlucky = one.user()

    def all_at_once() -> None:
        unlucky.kill(block=False)
        gevent.get_hub().loop.run_callback(one.gate.close)

    one.recorder.on_offer = all_at_once
    eventually(unlucky.ready)
    one.end()
    assert one.reasons() == {"stopped": 1}


def test_closing_drops_those_who_are_carried() -> None:
    """As `stopped`; nothing is offered after it."""
    one = Open("constant 0s:20/s,5s:20/s")
    eventually(lambda: one.counted("offered") >= 3)
    one.gate.close()
    offered = one.counted("offered")
    assert one.reasons() == {"stopped": offered}
    gevent.sleep(0.2)
    assert one.counted("offered") == offered
    one.end()


def test_a_gate_that_never_opened_counts_nothing() -> None:
    """A run that stops before the master has opened the schedule offers nobody."""
    recorder = Noting()
    plan = profile.arrivals("5/s")
    gate = Gate(Schedule(plan.profile, poisson=True, seed=1), recorder, rank=0, is_full=lambda _: True)
    running, user = gevent.spawn(gate.run), gevent.spawn(gate.enter)
    gevent.sleep(0.05)
    gate.close()
    gevent.killall([running, user])
    assert recorder.so_far == {}


def test_every_arrival_is_started_or_dropped() -> None:
    """At random: schedules, users who come, stay, come again and are killed, a process that stands still, a stop at any moment."""
    rng = random.Random("gate")
    gates = [Open(f"poisson 0s:{rate}/s,10s:{rate}/s", seed=rate, is_full=rate % 2 == 0) for rate in (3, 10, 41, 60, 97, 200)]
    until = clock.now() + 3
    stands_still = clock.now() + rng.uniform(0.5, 1)
    while clock.now() < until:
        for one in gates:
            alive = [user for user in one.users if not user.ready()]
            if len(alive) < 10 and rng.random() < 0.7:
                one.user(rng.expovariate(2), again=rng.random() < 0.5)
            if alive and rng.random() < 0.2:
                rng.choice(alive).kill(block=rng.random() < 0.5)
            assert one.counted("started") + one.counted("dropped") <= one.counted("offered")
        if clock.now() > stands_still:
            block(1.2)
            stands_still = until
        gevent.sleep(rng.expovariate(200))
    for one in gates:
        one.end()
    assert {reason for one in gates for reason in one.reasons()} == {"cap_reached", "no_idle_user", "generator_late", "stopped"}
    assert all(one.counted("started") > 0 for one in gates)


def test_two_gates_share_a_schedule_without_a_gap_or_an_overlap() -> None:
    """The arrivals of two workers are disjoint and together are the schedule, also when shares change in mid-run."""
    both = ((0, (0, 1)),)
    gates = [Open("constant 0s:20/s,2s:20/s", rank=rank, epochs=both) for rank in (0, 1)]
    for one in gates:
        for _ in range(45):
            one.user()
    eventually(lambda: sum(one.counted("started") for one in gates) >= 4)
    for one in gates:
        one.gate.open(99.0, [*both, (15, (0,)), (30, (1, 0))])
    eventually(lambda: sum(one.counted("offered") for one in gates) >= 40)
    for one in gates:
        one.end()
    started = [one.indices(20) for one in gates]
    assert sorted(started[0] + started[1]) == list(range(40))
    assert started[0] == [*range(0, 15, 2), *range(15, 30), *range(31, 40, 2)]
