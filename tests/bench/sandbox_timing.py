"""`python -m tests.bench.sandbox_timing [--quick]`: the sandbox's default timing beside the figures of a real server.

The real one was a stock OneHash Chat 4.2.0 on two cores that it shared with its load: one Puma of 5 threads, one Sidekiq of 10. Its shapes
and orders of magnitude are what the sandbox has to show; figures are told, never asserted. Everything is read from the truth file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadkit import clock
from loadkit.cable import frames
from loadkit.target import Target
from tests.sandbox.client import Customer, Wire, agent_path, ask
from tests.support import eventually
from tests.system.driver import SandboxProcess

__all__ = ["table"]

Row = tuple[str, str, str]

SENDERS = 64
SETTLES_US = 2_000_000  # what opening the conversations has queued is over by then


@dataclass(frozen=True)
class Seen:
    """What became of some replies; milliseconds, `served` a second, `early` the share whose frame left before the answer."""

    due: list[float]
    delivery: list[float]
    post: list[float]
    early: float
    served: float


class Server:
    """A sandbox in a process of its own, as customers and agents know it."""

    def __init__(self, folder: Path, members: int) -> None:
        self.process = SandboxProcess(folder, "--agents", str(members - 1))
        target = Target.read(self.process.target)
        self.url, self.inbox, self.agent_tokens = target.host, target.inboxes[0], target.agent_tokens

    def stop(self) -> None:
        self.process.stop()


def offered(rate: float, lasts_s: float, *, members: int = 2, customers: int = 20) -> Seen:
    """Offer replies at a rate, each due at its time whatever became of those before."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), members)
        try:
            with ThreadPoolExecutor(8) as pool:
                people = list(pool.map(lambda _: Customer(server), range(customers)))  # type: ignore[arg-type]
            due = _send(server, people, rate, round(rate * lasts_s))
            truth = eventually(lambda: t if len(t := server.process.truth()) == len(due) else None, within=120, every=0.1)
            for person in people:
                person.wire.close()  # type: ignore[union-attr]
        finally:
            server.stop()
    return _seen(due, truth)


def _send(server: Server, people: list[Customer], rate: float, count: int) -> dict[str, int]:
    """Send replies when they are due and return when that was, by marker, in monotonic microseconds."""
    headers = {"Api-Access-Token": server.agent_tokens[0]}
    began, due = clock.now_us() + SETTLES_US, {}
    never = threading.Event()

    def send(number: int) -> None:
        never.wait(max(0.0, (due[f"m{number}"] - clock.now_us()) / 1e6))
        person = people[number % len(people)]
        ask(server.url, "POST", agent_path(person), {"content": "hello", "echo_id": f"m{number}"}, headers=headers)

    for number in range(count):
        due[f"m{number}"] = began + round(number * 1e6 / rate)
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, range(count)))
    return due


def _seen(due: dict[str, int], truth: dict[str, dict[str, Any]]) -> Seen:
    lines = [(due[marker], row) for marker, row in truth.items()]
    written = [row["written"][0]["mono_us"] for _, row in lines]
    answered = [row["answered"]["mono_us"] for _, row in lines]
    requested = [row["requested"]["mono_us"] for _, row in lines]
    return Seen(
        due=[(left - at) / 1e3 for left, (at, _) in zip(written, lines, strict=True)],
        delivery=[(left - at) / 1e3 for left, at in zip(written, requested, strict=True)],
        post=[(left - at) / 1e3 for left, at in zip(answered, requested, strict=True)],
        early=sum(left < right for left, right in zip(written, answered, strict=True)) / len(lines),
        served=(len(lines) - 1) / ((max(answered) - min(answered)) / 1e6),
    )


def connected(sockets: int) -> list[float]:
    """Open sockets and subscribe them all at once; return the milliseconds from each start to its confirmation."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), 2)
        try:
            person = Customer(server, connected=False)  # type: ignore[arg-type]
            with ThreadPoolExecutor(sockets) as pool:
                return list(pool.map(lambda _: _confirmed_ms(server, person), range(sockets)))
        finally:
            server.stop()


def _confirmed_ms(server: Server, person: Customer) -> float:
    began = clock.now_us()
    wire = Wire(server.url)
    identifier = frames.room_identifier(person.contact["pubsub_token"])
    wire.say(frames.subscribe(identifier))
    eventually(lambda: any(f.get("type") == "confirm_subscription" for f in wire.frames), within=60)
    took = (clock.now_us() - began) / 1e3
    wire.close()
    return took


def _spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"{cuts[49]:.0f} / {cuts[89]:.0f} / {cuts[98]:.0f}"


def table(*, quick: bool) -> Iterator[Row]:
    """Yield the rows: what, the sandbox's figure, the real server's."""
    lasts_s = 8 if quick else 30
    yield ("the sandbox's default timing, ms", "p50 / p90 / p99", "a real server")
    for rate, customers, delivery, post, early in (
        (2, 20, "44 / 55 / 69", "52 / 110 / 191", "100 %"),
        (5, 50, "41 / 50 / 66", "55 / 93 / 104", "98 %"),
    ):
        seen = offered(rate, lasts_s, customers=customers)
        yield (f"  {rate} replies/s, 2 members: request -> frame", _spread(seen.delivery), delivery)
        yield ("    request -> answer", _spread(seen.post), post)
        yield ("    frame before the answer", f"{seen.early:.0%}", early)
    for members, delivery, early in ((30, "59 / - / 112", "33 %"), (100, "86 / - / 145", "13 %")):
        seen = offered(2, lasts_s, members=members)
        yield (f"  2 replies/s, {members} members: request -> frame", _spread(seen.delivery), delivery)
        yield ("    frame before the answer", f"{seen.early:.0%}", early)
    seen = offered(30, lasts_s)
    yield ("  30 replies/s offered: served a second", f"{seen.served:.1f}", "15 to 18")
    yield ("    due -> frame", _spread(seen.due), "8046 / - / 24300 after 30 s")
    for sockets, real in ((200, "1700, worst 2300"), (400, "3000, worst 4300")):
        took = connected(sockets)
        yield (f"  {sockets} sockets at once: opened -> confirmed", f"{statistics.median(took):.0f}, worst {max(took):.0f}", real)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sandbox_timing", description="The sandbox's timing beside a real server's."
    )
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the rows here")
    args = parser.parse_args()
    rows = []
    for row in table(quick=args.quick):
        rows.append(row)
        print(f"{row[0]:<54}{row[1]:>20}  {row[2]}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
