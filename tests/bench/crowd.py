"""Eight workers in one process that generate nothing: they speak Locust's protocol and loadkit's, and report as busy workers do.

Reports are made by loadkit's own recorder and Locust's own tables, from drawn latencies, so the master gets what real workers send.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import gevent
import locust
from gevent.event import Event
from locust.rpc import Message
from locust.rpc.zmqrpc import Client
from locust.stats import RequestStats

from loadkit.measure.recorder import Interval, Recorder
from loadkit.swarm import messages
from tests.bench.master import WORKERS

REPORT_S, BEAT_S = 3.0, 1.0
REPLIES = 50
"""Replies a second and a worker: what about 1,000 customers of the shipped scenario are given."""

LATENCIES: dict[str, tuple[int, int]] = {
    "reply.response": (REPLIES, 60_000),
    "reply.delivery": (REPLIES, 60_000),
    "reply.post": (REPLIES, 40_000),
    "reply.lag": (REPLIES, 400),
    "echo.delivery": (REPLIES, 50_000),
    "question.delivery": (REPLIES, 50_000),
    "answer.wait": (REPLIES, 2_500_000),
    "desk.wait": (REPLIES, 300),
    "cable.connect": (2, 8_000),
    "cable.confirm": (2, 8_000),
    "cable.presence_echo": (30, 5_000),
    "cable.ping_gap": (300, 3_000_000),
    "schedule.lag": (2, 1_000),
    "generator.lag": (100, 300),
    "generator.read_lag": (300, 150),
    "http.contact.create": (2, 30_000),
    "http.conversation.create": (2, 30_000),
    "http.message.create": (REPLIES, 40_000),
    "http.message.list": (2, 30_000),
    "http.agent.message.create": (REPLIES, 40_000),
}
"""How many of each a second, and their median in µs."""

COUNTS = dict.fromkeys(("reply.attempted", "reply.on_time", "question.asked", "desk.taken"), REPLIES) | {
    "cable.wanted_seconds": 1000,
    "customers.wanted_seconds": 1000,
}
GAUGES = {"cable.open": 1000, "cable.wanted": 1000, "customers": 1000, "customers.wanted": 1000, "desk.waiting": 3}
GAUGES |= {"generator.cpu": 0.55, "generator.open_files": 2040}


class Worker:
    """One of the crowd."""

    def __init__(self, port: int, n: int) -> None:
        self.id = f"crowd_{n:032x}"
        self._client = Client("127.0.0.1", port, self.id)
        self._rng, self._phase = random.Random(n), n * REPORT_S / WORKERS
        self._stats = RequestStats()
        self._recorder: Recorder | None = None
        self._outbox: list[Interval] = []
        self._users: dict[str, int] = {}
        self._state = "ready"
        self.over = Event()

    def _send(self, kind: str, data: Any = None) -> None:
        self._client.send(Message(kind, data, self.id))

    def live(self) -> None:
        """Take the master's words until it says quit."""
        self._send("client_ready", locust.__version__)
        greenlets = [gevent.spawn(self._beat), gevent.spawn(self._report)]
        while not self.over.is_set():
            self._take(self._client.recv())
        gevent.killall(greenlets)

    def _take(self, message: Message) -> None:
        if message.type == "spawn":
            self._spawn(message.data)
        elif message.type == messages.DRAIN:
            self._send(messages.DRAINED)
        elif message.type == messages.CLOSE:
            self._cut()
            self._send_report()
            self._send(messages.CLOSED)
        elif message.type == "stop":
            self._users = dict.fromkeys(self._users, 0)
            self._send("client_stopped")
        elif message.type == "quit":
            self.over.set()

    def _spawn(self, job: dict[str, Any]) -> None:
        self._users = job["user_classes_count"]
        self._send("spawning")
        if self._recorder is None:
            places = job["parsed_options"][messages.PLACES]
            self._recorder = Recorder(worker=places["members"].index(self.id))
            self._send(messages.HERE)
        self._state = "running"
        self._send("spawning_complete", {"user_classes_count": self._users, "user_count": sum(self._users.values())})

    def _beat(self) -> None:
        while True:
            self._send("heartbeat", {"state": self._state, "current_cpu_usage": 55.0, "current_memory_usage": 120_000_000})
            self._cut()
            gevent.sleep(BEAT_S)

    def _cut(self) -> None:
        """Record what a second brings, in loadkit's recorder and in Locust's tables, and cut it."""
        recorder = self._recorder
        if recorder is None:
            return
        for name, (count, median_us) in LATENCIES.items():
            method = "POST" if name.startswith("http.") else "CABLE"
            for _ in range(count):
                value_us = round(median_us * self._rng.lognormvariate(0, 0.5))
                recorder.latency(name, value_us, "exact" if name.startswith(("reply.", "echo.")) else None)
                self._stats.log_request(method, name, value_us / 1e3, 0)
        for name, n in COUNTS.items():
            recorder.count(name, n)
        for name, value in GAUGES.items():
            recorder.gauge(name, value)
        recorder.frames |= {name: [2 * REPLIES, 130_000] for name in ("message.created", "conversation.updated", "conversation.typing_on")}
        for _ in range(3):
            recorder.slow(300_000, lambda: {"reply": "0badcafe", "response_ms": 300.0, "conversation": 17, "quality": "exact"})
        self._outbox.append(recorder.cut())

    def _report(self) -> None:
        gevent.sleep(self._phase)
        while True:
            self._send_report()
            gevent.sleep(REPORT_S)

    def _send_report(self) -> None:
        data: dict[str, Any] = {"stats": self._stats.serialize_stats(), "stats_total": self._stats.total.get_stripped_report()}
        data |= {"errors": {}, "user_classes_count": self._users, "user_count": sum(self._users.values())}
        messages.pack(data, self._outbox)
        self._outbox.clear()
        self._send("stats", data)


def main() -> None:
    """Connect all of them to the master at the port that is given."""
    workers = [Worker(int(sys.argv[1]), n) for n in range(WORKERS)]
    gevent.joinall([gevent.spawn(worker.live) for worker in workers], raise_error=True)


if __name__ == "__main__":
    main()
