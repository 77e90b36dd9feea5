"""The master of a run: it generates nothing, keeps the record, shares out the arrivals, and sees to it that every worker drains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from loadkit import clock
from loadkit.measure.recorder import MASTER, Recorder
from loadkit.measure.workers import WorkerTotals
from loadkit.swarm import messages, patches, shapes
from loadkit.swarm.fleet import LEFT, LOST, PRESENT, UNABLE, Fleet, Member
from loadkit.swarm.header import header_of
from loadkit.swarm.look import Look
from loadkit.swarm.once import Once
from loadkit.swarm.place import new_run_id
from loadkit.swarm.record import Record
from loadkit.swarm.settings import RunSettings
from loadkit.workload.arrivals import Schedule, Shares

__all__ = ["Master"]

BEAT = 1.0
PATIENCE, AHEAD = 10.0, 2.0
"""Seconds that a schedule waits for all workers to be ready, and by which a change of shares is told ahead."""

FOR_GOOD_US = 50_000_000
"""How long a worker may be silent before it is given up for good."""

SLACK = 45.0
"""Seconds beyond the drain's bound that a worker may take to say that it is drained: one that was frozen has much to make up for."""


class Master:
    """From `test_start` to `test_stop`. `give_up` ends the run from outside. Raises ResultsError where no folder can be made."""

    def __init__(
        self,
        environment: Environment,
        settings: RunSettings,
        look: Look,
        *,
        limits: dict[str, float],
        give_up: Callable[[], None],
    ) -> None:
        runner = environment.runner
        assert isinstance(runner, MasterRunner)
        self._environment, self._runner, self._settings, self._give_up = environment, runner, settings, give_up
        self.id = new_run_id()
        setattr(environment.parsed_options, messages.PLACES, None)
        self.fleet = Fleet(sorted(client.id for client in runner.clients.all))
        self._workers = len(self.fleet.members)
        header = header_of(environment, settings, look, run=self.id, limits=limits, workers=self._workers)
        self.record = Record(header, results=settings.results, deliveries=settings.log_deliveries)
        self._recorder = Recorder(worker=MASTER)
        self.drain = Once(self._drain, self._failed)
        self._tell_places()
        self._shares = Shares()
        self._schedule = Schedule.of(settings.arrivals, settings.seed) if settings.arrivals else None
        self._started = clock.now()
        self._opened: float | None = None
        self._stopped_elapsed = 0.0
        self._sharing: tuple[int, ...] = ()
        self._order: str | None = None
        self._over, self._acknowledged = Event(), Event()
        self._is_closed = self._must_dispatch = False
        self._beat = gevent.spawn(self._keep)
        self._beat.link_exception(self._failed)

    def begin(self) -> None:
        """Nothing to seat: the workers begin."""

    def _failed(self, greenlet: gevent.Greenlet) -> None:
        self.record.fault("master", f"the master broke: {type(greenlet.exception).__name__}: {greenlet.exception}")

    def _tell_places(self) -> None:
        """Let the next `spawn` carry everybody's place."""
        most = shapes.most_at_once(self._environment)
        places = {"run": self.id, "workers": self._workers, "members": self.fleet.ids, "most": most}
        setattr(self._environment.parsed_options, messages.PLACES, places)

    # What workers say.

    def connected(self, one: str) -> None:
        """Give a worker that joins in mid-run its place, before Locust gives it users."""
        if not self.drain.begun and self.fleet.find(one) is None:
            member = self.fleet.join(one)
            self._tell_places()
            self._recorder.event("worker", worker=member.rank, name=member.name, text=f"worker {member.rank} ({member.name}) joined late")

    def report(self, one: str, report: dict[str, Any]) -> None:
        """Merge what a worker reports, each interval once."""
        member = self.fleet.find(one)
        if member is None:
            return
        for interval in messages.unpack(report):
            if interval.worker == member.rank and self.fleet.takes(member, interval):
                self.record.add(interval)

    def said(self, kind: str, one: str, data: dict[str, Any]) -> None:
        """Take a word of a worker's."""
        member = self.fleet.find(one)
        if member is None:
            if kind == messages.UNABLE:
                self._recorder.event("note", text=f"a worker that is not in this run could not start: {data['text']}")
            return
        if kind == messages.HERE:
            member.ready = True
            self._share_out()
        elif kind == messages.UNABLE:
            self._turn(member, UNABLE, f"could not start: {data['text']}")
            if member.rank < self._workers:  # one that joins late is only not there
                self.record.fault(f"worker_{member.rank}", f"worker {member.rank} ({member.name}) could not start: {data['text']}")
                self._give_up()
        elif kind == messages.LEAVING:
            member.ready = False
            self._share_out()
        elif kind == messages.LEFT:
            self._turn(member, LEFT, "it was told to end, and drained first")
        elif kind == messages.FOREIGN:
            self._misrouted(data["marker"], data["worker"])
        elif kind in (messages.DRAINED, messages.CLOSED):
            member.done.add(kind)
            self._acknowledged.set()

    def _misrouted(self, marker: str, rank: int) -> None:
        """Pass a strayed reply on to the worker whose it is; where that one is gone, the mark is ours to count."""
        owner = next((member for member in self.fleet.present if member.rank == rank), None)
        if owner is None:
            self._recorder.count("reply.misrouted")
        else:
            self._runner.send_message(messages.MISROUTED, {"marker": marker}, client_id=owner.id)

    # Arrivals.

    def _share_out(self) -> None:
        """Let those who are there share the arrivals: from the first one when all are, later from two seconds ahead."""
        if self._schedule is None or self.drain.begun:
            return
        ready = tuple(member.rank for member in self.fleet.present if member.ready)
        if self._opened is None:
            if not ready or (len(ready) < len(self.fleet.present) and clock.now() - self._started < PATIENCE):
                return
            self._opened = clock.now()
            self._shares.change(0, ready)
            shapes.opened(self._environment)
        else:
            ahead = self._schedule.before(self._elapsed + AHEAD)  # asked at every beat: it counts on from where it was
            if ready == self._sharing:
                return
            self._shares.change(ahead, ready)
        self._sharing = ready
        word = {"elapsed": self._elapsed, "epochs": self._shares.epochs}
        for member in self.fleet.members:
            if member.state != LEFT and member.ready:
                self._runner.send_message(messages.SHARES, word, client_id=member.id)

    @property
    def _elapsed(self) -> float:
        """Seconds since the schedule began."""
        return clock.now() - self._opened if self._opened is not None else 0.0

    def _count_orphans(self) -> None:
        """Count the arrivals that nobody could start or see through: those of workers who died, and those that were nobody's."""
        if self._schedule is None or self._opened is None:
            return
        gone = [member for member in self.fleet.members if member.state != PRESENT]
        if gone or () in [ranks for _, ranks in self._shares.epochs]:
            # In the thread pool: it counts from the beginning, a second for some hours of arrivals.
            intended = gevent.get_hub().threadpool.apply(self._schedule.before, (self._stopped_elapsed,))
            orphans = intended - sum(self._shares.owned(member.rank, intended) for member in self.fleet.members)
            for member in gone:
                totals = self.record.totals.workers.get(member.rank, WorkerTotals())
                orphans += max(0, self._shares.owned(member.rank, intended) - totals.offered)
                self._recorder.count("iteration.cut", totals.inside)
                self._drop_orphans(totals.unstarted)
            self._recorder.count("schedule.offered", orphans)
            self._drop_orphans(orphans)

    def _drop_orphans(self, n: int) -> None:
        self._recorder.count("schedule.dropped", n)
        self._recorder.count("schedule.dropped.worker_lost", n)

    # The beat.

    def _keep(self) -> None:
        while not self._over.wait(BEAT):
            self._look_after()
            self._write()
            patches.forget_old_seconds(self._environment.stats)

    def _write(self) -> None:
        interval = self._recorder.cut()
        if interval.counters or interval.events or interval.errors:
            self.record.add(interval)
        self.record.write()

    def _look_after(self) -> None:
        """See who fell silent, and who is back; their share of customers and arrivals moves with that."""
        if self._is_closed:
            return  # Locust lets its workers go and come back between two runs
        for member in self.fleet.members:
            client = self._runner.clients.get(member.id)
            silent = client is None or client.state == STATE_MISSING
            if member.state == PRESENT and silent:
                self._turn(member, LOST, "it quit without a word" if client is None else "it sent no heartbeat for three seconds")
                self._must_dispatch = True
            elif member.state == LOST and client is not None and clock.unix_us() - member.since_us > FOR_GOOD_US:
                # Locust would, ten seconds later, forget whom it has spawned and begin again from nobody.
                del self._runner.clients[member.id]
            elif member.state == LOST and not silent:
                self._turn(member, PRESENT, "it is back")
                if self._order:
                    self._runner.send_message(self._order, None, client_id=member.id)
        self._share_out()
        self._dispatch()

    def _dispatch(self) -> None:
        """Spread the customers of a lost worker over the others, as soon as Locust is not spawning."""
        runner: Any = self._runner
        dispatcher = runner._users_dispatcher
        is_free = runner.state == "running" and dispatcher is not None and not dispatcher.dispatch_in_progress
        if self._must_dispatch and is_free and not self.drain.begun:
            self._must_dispatch = False
            gevent.spawn(runner.start, runner.target_user_count, runner.spawn_rate).link_exception(self._failed)

    def _turn(self, member: Member, state: str, reason: str) -> None:
        self.fleet.turn(member, state, reason)
        word = "present again" if state == PRESENT else state
        text = f"worker {member.rank} ({member.name}) is {word} since {member.since}: {reason}"
        self._recorder.event("worker", worker=member.rank, name=member.name, text=text)

    # The end.

    def _drain(self) -> None:
        """Let every worker drain, then, when all strayed replies are with their owners, let them close."""
        self.record.stopped()
        self._stopped_elapsed = self._elapsed
        bound = 2 * self._settings.drain  # a last reply may leave as late as that, and then it counts anew
        self._phase(messages.DRAIN, messages.DRAINED, bound + SLACK)
        self._phase(messages.CLOSE, messages.CLOSED, SLACK)
        self._is_closed = True
        self.record.drained()

    def _phase(self, order: str, answer: str, bound: float) -> None:
        """Tell all who are present, and wait for each that stays so; one that dies meanwhile is not waited for."""
        self._order, until = order, clock.now() + bound
        for member in self.fleet.present:
            self._runner.send_message(order, None, client_id=member.id)
        while any(answer not in member.done for member in self.fleet.present) and clock.now() < until:
            self._acknowledged.clear()
            self._acknowledged.wait(0.2)
        for member in self.fleet.present:
            if answer not in member.done:
                self._turn(member, LOST, f"it did not say that it had drained within {bound:g} s")

    def end(self, ended_by: str) -> dict[str, Any]:
        """Stop the beat and return the summary. Raises ResultsError."""
        self._over.set()
        self._beat.join()
        was_lost = any(member.state == LOST for member in self.fleet.members)
        if not self.fleet.present and (was_lost or ended_by == "time"):
            self.record.fault("workers", "no worker was left before the end")
        self._count_orphans()
        self._write()
        return self.record.finish(ended_by, workers=self.fleet.ends())
