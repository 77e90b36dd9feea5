"""Runs of every ingredient, made with a real recorder, ledger and writer."""

from __future__ import annotations

import random
from pathlib import Path

from loadkit import clock
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Interval, Recorder, Totals
from loadkit.measure.reply import Reply
from loadkit.results.format import End, Header
from loadkit.results.summary import summarize
from loadkit.results.writer import Writer
from loadkit.target import Target

S = 1_000_000
SECRETS = ("agent-secret-1", "agent-secret-2", "hmac-secret")
END = End(ended_by="time", seconds=12.5, drain_seconds=1.25)


def header(**changes: object) -> Header:
    """Return the header of a run that starts now, its target with secrets."""
    target = Target("http://127.0.0.1:3000", ("inbox-1",), 1, SECRETS[:2], SECRETS[2])
    fields: dict[str, object] = {
        "loadkit": "0.1.0",
        "run": "deadbeef",
        "name": "20260101T000000Z-conversations",
        "scenario": "conversations",
        "started": "2026-01-01T00:00:00Z",
        "started_us": clock.unix_us(),
        "target": target.public(),
        "agents": 2,
        "workers": 1,
        "thresholds": ["reply.response p(99) < 2s", "reply.lost rate < 50%"],
    }
    return Header(**(fields | changes))  # type: ignore[arg-type]


def intervals(count: int = 12, *, seed: int = 1, close: bool = True, worker: int = 0) -> list[Interval]:
    """Return the intervals of a run with every end, marks, corrections, errors and frames; without a close some replies are open."""
    rng, recorder = random.Random(seed), Recorder(worker=worker)
    ledger = Ledger(recorder, deadline_us=5 * S, lost_after_us=30 * S, log=True)
    now, made, number = clock.now_us(), [], 0
    open_ones: list[Reply] = []
    for second in range(count):
        now += 4 * S
        for _ in range(5):
            number += 1
            reply = Reply(
                f"m{worker}-{number}", conversation_id=number % 3, subscription="ann", agent=1, worker=worker, due_us=now - 9, sent_us=now
            )
            ledger.attempt(reply)
            open_ones.append(reply)
        _fates(ledger, rng, open_ones, now, number)
        ledger.tick(now)
        recorder.gauge("customers", 10 + second)
        recorder.gauge("cable.open", 9.5)
        recorder.count("cable.dropped", 2)
        recorder.latency("http.message.create", rng.randrange(10**6))
        recorder.latency("reply.lag", 4 * 10**9)
        recorder.count("http.message.create.failed")
        recorder.count("http.contact.create.failed")
        recorder.frames["message.created"] = [5, 5000]
        recorder.error("timeout", "message.create", 'an "example", with a line\nfeed')
        recorder.event("note", text=f"second {second}")
        made.append(recorder.cut())
    if close:
        ledger.close(now + 40 * S)
        made.append(recorder.cut())
    return made


def _fates(ledger: Ledger, rng: random.Random, open_ones: list[Reply], now: int, number: int) -> None:
    for reply in list(open_ones):
        n = int(reply.marker.split("-")[1])
        fate = rng.choice(["wait", "frame", "frame", "late", "lost", "5xx", "5xx then frame", "silence", "twice", "elsewhere", "refetch"])
        if fate == "wait":
            continue
        open_ones.remove(reply)
        if fate.startswith("5xx"):
            ledger.answered(reply, now, status=502, refusal="http_502")
        elif fate == "silence":
            ledger.unanswered(reply, now)
        else:
            ledger.answered(reply, now, status=200, message_id=n, request_id=f"req-{n}")
        if fate == "refetch":
            ledger.refetched("ann", [n])
        if fate == "elsewhere":
            ledger.seen(reply.marker, "bob", n, now, "exact")
        at = now + (6 * S if fate == "late" else rng.randrange(S))
        if fate in ("frame", "late", "5xx then frame", "twice"):
            ledger.seen(reply.marker, "ann", n, at, rng.choice(["exact", "bounded", "user_space"]))
        if fate == "twice":
            ledger.seen(reply.marker, "ann", n, at + 1, "exact")


def write(folder: Path, made: list[Interval], *, finish: bool = True, head: Header | None = None) -> tuple[Header, Totals]:
    """Write a run and return its header and the totals as they were in memory."""
    head = head or header(**({"started_us": made[0].start_us} if made else {}))
    totals = Totals()
    writer = Writer(folder, head, deliveries=True)
    for interval in made:
        writer.write(interval)
        totals.add(interval)
    if finish:
        writer.finish(END, summarize(head, totals, END))
    writer.close()
    return head, totals
