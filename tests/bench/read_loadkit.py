"""Loadkit's whole receive path: cables, receiver, the run's own watch, the ledger, the recorder and its histograms.

With `cable` as the last argument the frames are only found and counted, which is all that the C reader does.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from gevent.event import Event  # noqa: E402
from locust.env import Environment  # noqa: E402

from loadkit import clock  # noqa: E402
from loadkit.cable.connection import Cable  # noqa: E402
from loadkit.cable.receiver import Receiver  # noqa: E402
from loadkit.chat.marker import needle  # noqa: E402
from loadkit.chat.models import Contact  # noqa: E402
from loadkit.measure.ledger import Ledger  # noqa: E402
from loadkit.measure.recorder import Recorder  # noqa: E402
from loadkit.measure.reply import Reply  # noqa: E402
from loadkit.swarm.customer import Customer  # noqa: E402
from loadkit.swarm.samples import Samples  # noqa: E402
from loadkit.swarm.watch import Watch  # noqa: E402
from tests.bench.pace import Pace  # noqa: E402
from tests.bench.plan import RUN, Plan, cpu_us, identifier, marker, pin, raise_limits  # noqa: E402

UNCOUNTED = 50
"""Cables that are open before the memory of the others is taken."""


class PacedWatch(Watch):
    """The run's watch, and a count for the feeder."""

    def __init__(self, pace: Pace, done: Event, *, whole: bool, **parts: Any) -> None:
        super().__init__(RUN, on_back=lambda customer: None, on_failure=lambda *what: sys.exit(str(what)), **parts)
        self._pace, self._done, self._whole = pace, done, whole
        self.found = 0

    def marked(self, cable: Cable, payload: bytes, event: str, received_us: int, quality: str) -> None:
        """Take a broadcast as a run does."""
        self.found += 1
        if self._whole:
            super().marked(cable, payload, event, received_us, quality)
        self._pace.event()
        if self._pace.over:
            self._done.set()


def rss_kib() -> float:
    """Return this process's resident memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def expect(ledger: Ledger, plan: Plan) -> float:
    """Register every reply that will come; return the CPU µs that one costs."""
    began = cpu_us()
    for number in range(plan.sockets * plan.rounds):
        n, now_us = number % plan.sockets, clock.now_us()
        reply = Reply(
            marker(number),
            conversation_id=n + 1,
            subscription=f"s{n}",
            agent=0,
            worker=0,
            due_us=now_us,
            sent_us=now_us,
            asked_us=now_us,
        )
        ledger.attempt(reply)
        ledger.answered(reply, now_us, status=200, message_id=number + 1)
    return (cpu_us() - began) / (plan.sockets * plan.rounds)


def main(port: int, plan: Plan, *, whole: bool) -> None:
    """Open the cables, receive until the last event, then print the result."""
    pin(0)
    raise_limits()
    recorder, samples, pace, done = Recorder(), Samples(Environment()), Pace(plan), Event()
    ledger = Ledger(recorder, deadline_us=60_000_000, lost_after_us=600_000_000)
    watch = PacedWatch(pace, done, whole=whole, ledger=ledger, recorder=recorder, samples=samples)
    receiver = Receiver(needle(RUN), read_lag=lambda lag_us: recorder.latency("generator.read_lag", lag_us))
    customers = [Customer(None, None) for _ in range(plan.sockets)]  # type: ignore[arg-type]
    cables, before = [], 0.0
    for n, customer in enumerate(customers):
        customer.contact = Contact(source_id=f"s{n}", pubsub_token="", id=n)
        if n == UNCOUNTED:
            before = rss_kib()
        cable = Cable(f"ws://127.0.0.1:{port}/cable", identifier(n), receiver=receiver, watcher=watch, tag=customer, presence_every=0)
        cable.open()
        cables.append(cable)
    held_kib = (rss_kib() - before) / max(1, plan.sockets - UNCOUNTED)
    expecting = expect(ledger, plan)
    gc.collect()
    pace.ready()
    done.wait()
    began = cpu_us()
    samples.flush()
    flushed = (cpu_us() - began) / (plan.sockets * plan.rounds)
    hits = recorder.cut().counters.get("reply.on_time", 0) if whole else watch.found
    for cable in cables:
        cable.close()
    pace.report(hits=hits, rss_kib=held_kib, attempt_us=expecting, locust_table_us=flushed)


if __name__ == "__main__":
    main(int(sys.argv[1]), Plan(int(sys.argv[2]), int(sys.argv[3])), whole="cable" not in sys.argv[4:])
