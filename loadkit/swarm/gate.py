"""The gate of the open model: intended starts come from the pure schedule, and whoever is idle takes the next.

Nothing is shifted in silence: an arrival starts with its lag on record, or it is dropped with a reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import gevent
from gevent.event import AsyncResult, Event
from locust.env import Environment

from loadkit import clock
from loadkit.measure.recorder import Recorder
from loadkit.swarm.place import Place
from loadkit.swarm.settings import RunSettings
from loadkit.workload.arrivals import Schedule, Shares

__all__ = ["Gate"]

PATIENCE_US: Final = 1_000_000
"""How long an arrival is carried before it is dropped."""

LOOK_S: Final = 0.25
AT_A_TIME: Final = 1000
"""How many arrivals are passed over before others get their turn: one that joins late has all that went before it to pass over."""


class Gate:
    """The arrivals of one process. `is_full` tells whether all the users that it was asked for are there."""

    def __init__(self, schedule: Schedule, recorder: Recorder, *, rank: int, is_full: Callable[[int], bool]) -> None:
        self._schedule, self._recorder, self._rank, self._is_full = schedule, recorder, rank, is_full
        self._shares = Shares()
        self._idle: deque[AsyncResult] = deque()
        self._carried: deque[int] = deque()
        self._base_us = self._looked_us = 0
        self._opened, self._closed, self._settled = Event(), False, False
        self.inside = 0
        """Customers who have started and not finished."""

    @classmethod
    def of(cls, environment: Environment, settings: RunSettings, place: Place, recorder: Recorder) -> Gate | None:
        """Return the gate of a run, None for a closed model. Locust spreads the users who receive arrivals evenly."""
        plan = settings.arrivals
        if plan is None:
            return None

        def is_full(workers: int) -> bool:
            return environment.runner is not None and environment.runner.user_count >= place.most // max(1, workers)

        return cls(Schedule.of(plan, settings.seed), recorder, rank=place.rank, is_full=is_full)

    def open(self, elapsed: float, epochs: Iterable[tuple[int, Sequence[int]]]) -> None:
        """Learn who shares the arrivals and, the first time, begin; `elapsed` is how many seconds ago the schedule did."""
        for from_index, ranks in epochs:
            self._shares.change(from_index, ranks)
        if not self._opened.is_set():
            self._base_us = clock.now_us() - round(elapsed * 1e6)
            self._opened.set()

    def close(self) -> None:
        """Let nobody in any more; those who still waited for a user are dropped."""
        self._closed = True
        while self._carried:
            self._carried.popleft()
            self._drop("stopped")

    # The schedule's side.

    def run(self) -> None:
        """Offer every arrival of this process at its time; the body of a greenlet."""
        self._opened.wait()
        for n, start in self._schedule:
            if n % AT_A_TIME == 0:
                gevent.sleep(0)
            due_us = self._base_us + round(start * 1e6)
            self._sleep_until(due_us)
            if self._closed:
                return
            if self._shares.owner(n) == self._rank:
                self._offer(due_us)
        while not self._closed:
            self._sleep_until(clock.now_us() + PATIENCE_US)

    def _sleep_until(self, due_us: int) -> None:
        """Sleep in short steps, and give up in time on those who are carried."""
        while (wait_us := due_us - clock.now_us()) > 0 and not self._closed:
            gevent.sleep(min(wait_us / 1e6, LOOK_S))
            self._give_up(clock.now_us() - PATIENCE_US)
        if -wait_us > PATIENCE_US and due_us > self._looked_us:
            gevent.sleep(LOOK_S)  # this process stood still: word that its share is another's may be waiting to be read
            self._looked_us = clock.now_us()  # for all that fell due meanwhile: a pause for each would never catch up

    def _offer(self, due_us: int) -> None:
        self._recorder.count("schedule.offered")
        if clock.now_us() - due_us > PATIENCE_US:
            self._drop("generator_late")
        elif self._idle:
            self._idle.popleft().set(due_us)
        else:
            self._carried.append(due_us)

    def _give_up(self, before_us: int) -> None:
        while self._carried and self._carried[0] < before_us:
            self._carried.popleft()
            self._drop("cap_reached" if self._is_full(len(self._shares.epochs[-1][1])) else "no_idle_user")

    def _drop(self, reason: str) -> None:
        self._recorder.count("schedule.dropped")
        self._recorder.count(f"schedule.dropped.{reason}")

    # The users' side.

    def enter(self) -> None:
        """Wait in the calling user's greenlet for an arrival, and start it."""
        self._give_up(clock.now_us() - PATIENCE_US)
        if self._carried:
            due_us = self._carried.popleft()
        else:
            ticket = AsyncResult()
            self._idle.append(ticket)
            try:
                due_us = ticket.get()
            except BaseException:
                self._withdraw(ticket)
                raise
        self._recorder.count("schedule.started")
        self._recorder.latency("schedule.lag", clock.now_us() - due_us)
        self.inside += 1

    def _withdraw(self, ticket: AsyncResult) -> None:
        """Take back the ticket of a user who is stopped while idle; an arrival that it was given in that moment goes to the next."""
        if not ticket.ready():
            self._idle.remove(ticket)
        elif self._closed:
            self._drop("stopped")
        elif self._idle:
            self._idle.popleft().set(ticket.value)
        else:
            self._carried.appendleft(ticket.value)

    def leave(self, *, finished: bool) -> None:
        """Note that a customer has finished, or was cut off."""
        if self._settled:
            return
        self.inside -= 1
        self._recorder.count("iteration.finished" if finished else "iteration.cut")

    def settle(self) -> None:
        """Count whoever is still inside as cut off: the record ends here."""
        self._recorder.count("iteration.cut", self.inside)
        self.inside, self._settled = 0, True
