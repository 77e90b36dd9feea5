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


class Unmarked(Watch):
    """A watch that is handed what was found and leaves it at that."""

    def marked(self, cable: Cable, payload: bytes, event: str, received_us: int, quality: str) -> None:
        """Take a broadcast and make nothing of it."""


class Pacer:
    """Hears after every batch of reads, as a run does, and paces the feeder by what the receiver has counted."""

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self.pace, self.done = Pace(plan), Event()
        self.receiver = Receiver(needle(RUN), read_lag=self._read_lag)
        self._recorder = recorder

    @property
    def found(self) -> int:
        """How many events came."""
        return self.receiver.frames.get("message.created", (0, 0))[0]

    def _read_lag(self, lag_us: int) -> None:
        self._recorder.latency("generator.read_lag", lag_us)
        self.pace.seen(self.found)
        if self.pace.over:
            self.done.set()


def rss_kib() -> float:
    """Return this process's resident memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def expect(ledger: Ledger, plan: Plan, customers: list[Customer]) -> float:
    """Register every reply that will come; return the CPU µs that one costs."""
    began = cpu_us()
    for number in range(plan.sockets * plan.rounds):
        n, now_us = number % plan.sockets, clock.now_us()
        reply = Reply(
            marker(number),
            conversation_id=n + 1,
            subscription=customers[n].key,
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
    recorder, samples = Recorder(), Samples(Environment())
    ledger = Ledger(recorder, deadline_us=60_000_000, lost_after_us=600_000_000)
    watch = (Watch if whole else Unmarked)(
        RUN,
        0,
        ledger=ledger,
        recorder=recorder,
        samples=samples,
        on_back=lambda customer: None,
        on_failure=lambda *what: sys.exit(str(what)),
    )
    pacer = Pacer(plan, recorder)
    customers = [Customer(None, None) for _ in range(plan.sockets)]  # type: ignore[arg-type]
    cables, before = [], 0.0
    for n, customer in enumerate(customers):
        customer.become(Contact(source_id=f"s{n}", pubsub_token="", id=n))
        if n == UNCOUNTED:
            before = rss_kib()
        url, receiver = f"ws://127.0.0.1:{port}/cable", pacer.receiver
        customer.cable = Cable(url, identifier(n), receiver=receiver, watcher=watch, tag=customer, presence_every=0)
        customer.cable.open()
        cables.append(customer.cable)
    held_kib = (rss_kib() - before) / max(1, plan.sockets - UNCOUNTED)
    expecting = expect(ledger, plan, customers)
    gc.collect()
    pacer.pace.ready()
    pacer.done.wait()
    began = cpu_us()
    samples.flush()
    interval = recorder.cut()
    later_us = (cpu_us() - began) / (plan.sockets * plan.rounds)
    hits = interval.counters.get("reply.on_time", 0) if whole else pacer.found
    for cable in cables:
        cable.close()
    pacer.pace.report(later_us=later_us, hits=hits, rss_kib=held_kib, attempt_us=expecting, hand_over_us=later_us)


if __name__ == "__main__":
    main(int(sys.argv[1]), Plan(int(sys.argv[2]), int(sys.argv[3])), whole="cable" not in sys.argv[4:])
