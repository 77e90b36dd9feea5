"""Builds run folders as a run would leave them: a small queueing model feeds the real ledger, recorder and writer.

The model: questions come at a rate, an agent has six connections, one server works off POSTs one at a time. Past its capacity the time from
*sent* stays flat while replies wait ever longer to be sent, as on a real server.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loadkit import clock, units
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import MASTER, Interval, Recorder
from loadkit.measure.reply import Reply
from loadkit.results import summary
from loadkit.results.format import INTERVALS, SUMMARY, End, Header, WorkerEnd
from loadkit.results.reader import read
from loadkit.results.writer import Writer
from tests.report.flow import Arrivals, Flow

THRESHOLDS = ("reply.response p(99) < 2s", "reply.lost rate < 0.1%", "reply.refused rate < 1%")
NASTY = "boom </script><script>alert('x')</script> & <b>bold</b> | `tick` @someone\nsecond line"
SILENT = "it sent no heartbeat for three seconds"


@dataclass(frozen=True)
class Plan:
    """What a built run is like. `rate` is questions a second; `service_s` what one POST costs the server.

    `workers` are (name, the second in which it is killed or None) and share rate and customers; none is a run of one process.
    """

    name: str = "healthy"
    seconds: int = 60
    step: int = 1
    rate: float = 5.0
    service_s: float = 0.05
    thinks_s: float = 1.3
    customers: int = 50
    agents: int = 5
    lost: float = 0.0
    refused: float = 0.0
    duplicates: float = 0.0
    found_after_s: float = 0.0
    drops: tuple[int, ...] = ()
    silent: tuple[int, int] = (0, 0)
    errors: tuple[tuple[str, str, str], ...] = ()
    generator_lag_s: float = 0.002
    drain_s: int = 5
    crashed: bool = False
    ended_by: str = "time"
    thresholds: tuple[str, ...] = THRESHOLDS
    faults: dict[str, str] = field(default_factory=dict)
    workers: tuple[tuple[str, int | None], ...] = ()
    arrivals: Arrivals | None = None
    stages: str = ""
    tells_saving: bool = True
    seed: int = 1


HEALTHY = Plan()
SATURATED = Plan("saturated", seconds=120, rate=21.0, agents=1, customers=150, drain_s=30)
FAULTY = Plan(
    "faulty",
    seconds=120,
    lost=0.02,
    refused=0.03,
    duplicates=0.01,
    found_after_s=6.5,
    drops=(40, 41, 42),
    silent=(70, 80),
    errors=(("http_502", "agent.message.create", NASTY), ("timeout", "message.create", "no answer within 30 s")),
)
SUSPECT = Plan("suspect", seconds=30, generator_lag_s=0.2)
VOID = Plan("void", seconds=30, rate=0.0, errors=(("http_401", "agent.profile", "Invalid Access Token"),))
CRASHED = Plan("crashed", seconds=20, rate=30.0, drain_s=0, crashed=True)
SHORT = Plan("short", seconds=1, rate=30.0, thinks_s=0.1, drain_s=1)
TWO_WORKERS = Plan("workers", rate=12.0, service_s=0.12, workers=(("host-a_3f09c1", None), ("host-b_fa20ce", 40)))
OPEN = Plan(
    "open",
    customers=70,
    arrivals=Arrivals(
        drops=(
            (10, "no_idle_user", 3),
            (20, "generator_late", 1),
            (30, "worker_lost", 1),
            *((second, "cap_reached", 2) for second in range(45, 59)),
            (59, "stopped", 2),
        ),
        slow_from=40,
    ),
)
DAY = Plan("day", seconds=86_400, step=300, rate=0.02, drain_s=300)


class _Model:
    """A queue of POSTs in front of one server; hands happenings to the ledger in the order of time."""

    def __init__(self, plan: Plan, base_us: int, worker: int = 0) -> None:
        share = max(1, len(plan.workers))
        self.plan = plan = replace(plan, rate=plan.rate / share, customers=plan.customers // share)
        self.worker = worker
        self.random = random.Random(plan.seed + worker)
        self.base_us = base_us
        self.recorder = Recorder(worker=worker)
        self.flow = Flow(plan.arrivals, plan.seconds) if plan.arrivals else None
        self.lost_after_s = 3.0 if plan.found_after_s else 30.0
        self.ledger = Ledger(self.recorder, deadline_us=5_000_000, lost_after_us=round(self.lost_after_s * 1e6))
        self.timeline: list[tuple[float, int, Any]] = []
        self._tie = 0
        self._plan_replies()
        self.timeline.sort(key=lambda entry: entry[:2])

    def us(self, at: float) -> int:
        return self.base_us + round(at * 1e6)

    def at(self, when: float, call: Any) -> None:
        self._tie += 1
        self.timeline.append((when, self._tie, call))

    def _plan_replies(self) -> None:
        plan, rng = self.plan, self.random
        connections = [0.0] * (plan.agents * 6)
        server = 0.0
        for number, (due, asked, shown, desk) in enumerate(sorted(self._questions()), 1):
            slot = min(range(len(connections)), key=connections.__getitem__)
            sent = max(due + rng.expovariate(5000), connections[slot])
            server = max(server, sent) + plan.service_s * rng.uniform(0.9, 1.1)
            connections[slot] = answered = server + rng.uniform(0.002, 0.01)
            self._plan_one(number, asked, shown, desk, due, sent, answered)

    def _questions(self) -> Iterator[tuple[float, float, float, float]]:
        """Yield when replies are due, and when their questions were asked, shown, and how long they waited at the desk."""
        plan, rng, asked = self.plan, self.random, 0.0
        while plan.rate and (asked := asked + rng.expovariate(plan.rate)) < plan.seconds:
            shown = asked + rng.lognormvariate(-3.1, 0.15)
            desk = rng.expovariate(40)
            due = shown + desk + plan.thinks_s * rng.lognormvariate(0.0, 0.4)
            if due < plan.seconds and not plan.silent[0] <= due < plan.silent[1]:
                yield due, asked, shown, desk

    def _plan_one(self, number: int, asked: float, shown: float, desk: float, due: float, sent: float, answered: float) -> None:
        plan, rng, record = self.plan, self.random, self.recorder.latency
        reply = Reply(
            f"r{self.worker}-{number:05d}",
            conversation_id=100 + number % plan.customers,
            subscription=f"s{number % plan.customers}",
            agent=number % plan.agents,
            worker=self.worker,
            due_us=self.us(due),
            sent_us=self.us(sent),
            asked_us=self.us(asked),
        )
        echo = rng.lognormvariate(-3.2, 0.2)
        self.at(asked + echo, lambda: (record("echo.delivery", round(echo * 1e6), "exact"), self._frame("message.created", 1900)))
        self.at(shown, lambda: record("question.delivery", round((shown - asked) * 1e6), "exact"))
        self.at(shown + desk, lambda: record("desk.wait", round(desk * 1e6)))
        self.at(asked + 0.06, lambda: record("http.message.create", 60_000 + number % 7000))
        self.at(sent, lambda: self.ledger.attempt(reply))
        post = answered - sent
        self.at(answered, lambda: self._answer(reply, number, answered, post))
        if rng.random() < plan.refused:
            reply.refusal = "throttled"
            return
        received = answered - rng.uniform(0.0, 0.006)
        saved = plan.tells_saving and units.iso(
            clock.to_unix_us(self.us(received - min(0.008, (received - sent) / 4) * (1 + number % 7) / 4))
        )
        if rng.random() < plan.lost:
            if not plan.found_after_s or rng.random() < 0.6:
                return
            received = sent + plan.found_after_s
        quality = "bounded" if rng.random() < 0.01 else "exact"
        self.at(received, lambda: self._see(reply, number, received, quality, saved))
        if rng.random() < plan.duplicates:
            self.at(received + 0.1, lambda: self._see(reply, number, received + 0.1, quality, saved))

    def _answer(self, reply: Reply, number: int, at: float, post: float) -> None:
        record = self.recorder
        record.latency("http.agent.message.create", round(post * 1e6))
        if reply.refusal:
            record.count("http.agent.message.create.failed")
            record.count("throttled")
            record.error("throttled", "agent.message.create", "429 Retry later")
            self.ledger.answered(reply, self.us(at), status=429, refusal="throttled", request_id=f"req-{number}")
            return
        self.ledger.answered(reply, self.us(at), status=200, message_id=5000 + number, request_id=f"9f1c-{number:08x}")

    def _see(self, reply: Reply, number: int, at: float, quality: str, saved: str | bool) -> None:
        self.ledger.seen(reply.marker, reply.subscription, 5000 + number, self.us(at), quality, saved)
        self._frame("message.created", 2300)
        self._frame("conversation.updated", 2900)

    def _frame(self, name: str, size: int) -> None:
        pair = self.recorder.frames.setdefault(name, [0, 0])
        pair[0] += 1
        pair[1] += size

    def beat(self, second: int) -> None:
        """Record what a process records besides replies: gauges, the generator's own health."""
        plan, recorder = self.plan, self.recorder
        running = second < plan.seconds
        here = min(plan.customers, round(plan.customers * (second + 1) / max(1, plan.seconds // 6)))
        down = round(here * 0.4) if second in plan.drops else 0
        if self.flow:
            self.flow.beat(second, recorder)
            here = self.flow.inside
        gauges = {"customers": here, "customers.wanted": plan.customers, "cable.wanted": here, "cable.open": here - down}
        for name, value in gauges.items():
            recorder.gauge(name, value if running else 0)
        recorder.gauge("desk.waiting", self.random.randrange(3) if running else 0)
        recorder.gauge("generator.cpu", 0.2 + self.random.random() / 10)
        recorder.count("cable.wanted_seconds", here)
        if down:
            recorder.count("cable.dropped", down)
            recorder.count("cable.missing_seconds", down)
            recorder.latency("cable.reconnect", 1_200_000)
        recorder.latency("generator.lag", round(self.random.expovariate(1 / plan.generator_lag_s) * 1e6))
        recorder.latency("generator.read_lag", self.random.randrange(40, 900))
        self._frame("presence.update", 150)
        for kind, where, text in plan.errors:
            if second % 10 == 3:
                recorder.error(kind, where, text)

    def intervals(self, started_us: int) -> list[Interval]:
        """Return the intervals of the run, one a `step`, stamped with the model's time."""
        made, entries, at = [], iter([*self.timeline, (float("inf"), 0, None)]), 0
        entry = next(entries)
        while at < self.plan.seconds + self.plan.drain_s:
            at += self.plan.step
            while entry[0] < at:
                entry[2]()
                entry = next(entries)
            self.beat(at - self.plan.step)
            self.ledger.tick(self.us(at))
            if at >= self.plan.seconds + self.plan.drain_s and not self.plan.crashed:
                self.ledger.close(self.us(at))
            interval = self.recorder.cut()
            interval.start_us, interval.end_us = started_us + (at - self.plan.step) * 1_000_000, started_us + at * 1_000_000
            for happening in (*interval.errors, *interval.events):
                _restamp(happening, interval.end_us)
            made.append(interval)
        return made


def _restamp(happening: Any, at_us: int) -> None:
    if isinstance(happening, dict):
        happening["at_us"] = at_us
    else:
        happening.first_us = happening.last_us = at_us


def header(plan: Plan, started_us: int) -> Header:
    return Header(
        loadkit="0.1.0",
        run="k3x",
        name=f"20260102T030405Z-{plan.name}",
        scenario="conversations",
        label=plan.name,
        started="2026-01-02T03:04:05Z",
        started_us=started_us,
        target={"host": "http://127.0.0.1:3000", "account": 1, "inboxes": ["inbox_identifier"], "agents": plan.agents},
        agents=plan.agents,
        workers=max(1, len(plan.workers)),
        settings={"deadline": 5.0, "lost_after": 30.0, "connections": "user", "note": NASTY} | _model(plan),
        thresholds=list(plan.thresholds),
        limits={"generator.lag_p99": 0.2},
        environment={"python": "3.11.9", "receiver": "epoll", "stamps": "kernel", "cpus": 2},
        notes=["agent tokens are reused: 5 agents, 3 tokens"],
    )


def _model(plan: Plan) -> dict[str, str]:
    asked = {"stages": plan.stages, "arrivals": plan.arrivals.text if plan.arrivals else ""}
    return {name: text for name, text in asked.items() if text}


def _intervals(plan: Plan, base_us: int, started_us: int) -> list[Interval]:
    """Return the intervals of all processes in the order of time; a worker that was killed has none after that, and its master says so."""
    made = []
    for rank, (name, killed) in enumerate(plan.workers or (("", None),)):
        mine = _Model(plan, base_us, rank).intervals(started_us)
        if killed is not None:
            mine = [*mine[:killed], _loss(rank, name, killed, started_us)]
        made += mine
    return sorted(made, key=lambda interval: interval.end_us)


def _loss(rank: int, name: str, killed: int, started_us: int) -> Interval:
    master, at_us = Recorder(worker=MASTER), started_us + (killed + 3) * 1_000_000
    text = f"worker {rank} ({name}) is lost since {_iso(killed)}: {SILENT}"
    master.event("worker", worker=rank, name=name, text=text)
    interval = master.cut()
    interval.start_us, interval.end_us = at_us - 1_000_000, at_us
    for event in interval.events:
        event["at_us"] = at_us
    return interval


def _iso(second: int) -> str:
    """Return the wall time of a second of the run (of less than 55), as its header has it."""
    return f"2026-01-02T03:04:{second + 5:02d}Z"


def _worker_ends(plan: Plan) -> list[WorkerEnd]:
    return [
        WorkerEnd(worker=rank, name=name)
        if killed is None
        else WorkerEnd(worker=rank, name=name, state="lost", since=_iso(killed), reason=SILENT)
        for rank, (name, killed) in enumerate(plan.workers)
    ]


def build(parent: Path, plan: Plan) -> Path:
    """Write the folder of a planned run and return it."""
    folder = parent / plan.name
    folder.mkdir(parents=True)
    base_us = clock.now_us()
    started_us = clock.to_unix_us(base_us)
    writer = Writer(folder, header(plan, started_us))
    for interval in _intervals(plan, base_us, started_us):
        writer.write(interval)
    end = End(
        ended_by=plan.ended_by,
        seconds=float(plan.seconds),
        drain_seconds=float(plan.drain_s),
        faults=plan.faults,
        workers=_worker_ends(plan),
    )
    run = read(folder)
    writer.finish(end, summary.summarize(run.header, run.totals, end))
    if plan.crashed:
        _forget_the_end(folder)
    return folder


def _forget_the_end(folder: Path) -> None:
    """Take back what only a run that ended leaves."""
    path = folder / INTERVALS
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    (folder / SUMMARY).unlink()
