"""`python -m tests.bench.sandbox_timing [--quick]`: the sandbox's default timing beside the figures of a real server.

The real one was a stock OneHash Chat 4.2.0 on two cores that it shared with its load: one Puma of 5 threads, one Sidekiq of 10. Its shapes
and orders of magnitude are what the sandbox has to show; figures are told, never asserted. What happened to replies is read from the
truth file, so the times of a delivery are those of the server's side. Sandboxes that do not fill this machine run at the same time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

from loadkit import clock
from loadkit.cable import frames
from loadkit.target import Target
from tests.sandbox.client import Customer, agent_path, ask
from tests.support import eventually
from tests.system.driver import SandboxProcess

__all__ = ["table"]

Row = tuple[str, str, str]

SENDERS = 64
FEW_SENDERS = 5  # as many as a real server's threads serve at once, whoever else keeps a connection
SETTLES_US = 2_000_000  # what opening the conversations has queued is over by then
CUSTOMERS = 20


@dataclass(frozen=True)
class Load:
    """Replies offered at a rate, each due at its time whatever became of those before; `senders` are the requests at once."""

    rate: float
    members: int = 2
    senders: int = SENDERS


@dataclass(frozen=True)
class Seen:
    """What became of some replies; milliseconds, `served` a second, `early` the share whose frame left before the answer."""

    due: list[float]
    sent: list[float]
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


@contextmanager
def serving(members: int = 2) -> Iterator[Server]:
    """Serve while the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), members)
        try:
            yield server
        finally:
            server.process.stop()


def offered(load: Load, lasts_s: float) -> Seen:
    """Offer a load for a while and wait for what became of all of it."""
    with serving(load.members) as server:
        with ThreadPoolExecutor(8) as pool:
            people = list(pool.map(lambda _: Customer(server), range(CUSTOMERS)))  # type: ignore[arg-type]
        due, sent = _send(server, people, load, round(load.rate * lasts_s))
        truth = eventually(lambda: t if len(t := server.process.truth()) == len(due) else None, within=120, every=0.1)
        for person in people:
            person.wire.close()  # type: ignore[union-attr]
    return _seen(due, sent, truth)


def _send(server: Server, people: list[Customer], load: Load, count: int) -> tuple[dict[str, int], dict[str, int]]:
    """Send replies when they are due, or as soon after as a sender is free; return both moments by marker, in monotonic microseconds."""
    headers = {"Api-Access-Token": server.agent_tokens[0]}
    began = clock.now_us() + SETTLES_US
    due = {f"m{number}": began + round(number * 1e6 / load.rate) for number in range(count)}
    sent: dict[str, int] = {}
    never = threading.Event()

    def send(number: int) -> None:
        marker, person = f"m{number}", people[number % len(people)]
        never.wait(max(0.0, (due[marker] - clock.now_us()) / 1e6))
        sent[marker] = clock.now_us()
        ask(server.url, "POST", agent_path(person), {"content": "hello", "echo_id": marker}, headers=headers)

    with ThreadPoolExecutor(load.senders) as pool:
        list(pool.map(send, range(count)))
    return due, sent


def _seen(due: dict[str, int], sent: dict[str, int], truth: dict[str, dict[str, Any]]) -> Seen:
    left = {marker: row["written"][0]["mono_us"] for marker, row in truth.items()}
    answered = {marker: row["answered"]["mono_us"] for marker, row in truth.items()}
    requested = {marker: row["requested"]["mono_us"] for marker, row in truth.items()}

    def between(begins: dict[str, int], ends: dict[str, int]) -> list[float]:
        return [(ends[marker] - begins[marker]) / 1e3 for marker in truth]

    return Seen(
        due=between(due, left),
        sent=between(sent, left),
        delivery=between(requested, left),
        post=between(requested, answered),
        early=sum(left[marker] < answered[marker] for marker in truth) / len(truth),
        served=(len(truth) - 1) / ((max(answered.values()) - min(answered.values())) / 1e6),
    )


def confirmed(rate: float, count: int) -> list[float]:
    """Open sockets at a rate and return the milliseconds from each one's subscribing to its confirmation."""
    never = threading.Event()
    with serving() as server:
        person = Customer(server, connected=False)  # type: ignore[arg-type]
        began = clock.now() + 0.5

        def one(number: int) -> float:
            never.wait(max(0.0, began + number / rate - clock.now()))
            return _confirmed_ms(server, person)[1]

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


def at_once(sockets: int) -> list[float]:
    """Open sockets and subscribe them all at once; return the milliseconds from each start to its confirmation."""
    with serving() as server:
        person = Customer(server, connected=False)  # type: ignore[arg-type]
        with ThreadPoolExecutor(sockets) as pool:
            return [took[0] for took in pool.map(lambda _: _confirmed_ms(server, person), range(sockets))]


def _confirmed_ms(server: Server, person: Customer) -> tuple[float, float]:
    """Return the milliseconds from opening a socket, and from subscribing on it, to the confirmation."""
    opened = clock.now_us()
    wire = websocket.create_connection(server.url.replace("http", "ws", 1) + "/cable", timeout=60)
    subscribed = clock.now_us()
    wire.send(frames.subscribe(frames.room_identifier(person.contact["pubsub_token"])))
    while json.loads(wire.recv()).get("type") != "confirm_subscription":
        pass
    now = clock.now_us()
    wire.close()
    return (now - opened) / 1e3, (now - subscribed) / 1e3


def _spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"{cuts[49]:.0f} / {cuts[89]:.0f} / {cuts[98]:.0f}"


def _together(loads: list[Load], lasts_s: float) -> list[Seen]:
    with ThreadPoolExecutor(len(loads)) as pool:
        return list(pool.map(lambda load: offered(load, lasts_s), loads))


def table(*, quick: bool) -> Iterator[Row]:
    """Yield the rows: what, the sandbox's figure, the real server's."""
    lasts_s = 8 if quick else 30
    yield ("the sandbox's default timing, ms", "p50 / p90 / p99", "a real server")
    yield from at_rest(lasts_s)
    yield from beyond(lasts_s)
    yield from connecting()


def at_rest(lasts_s: float) -> Iterator[Row]:
    """Yield what replies take while the server is not busy: with few members of the inbox, and with many."""
    real = {
        Load(2): ("44 / 55 / 69", "52 / 110 / 191", "100 %"),
        Load(5): ("41 / 50 / 66", "55 / 93 / 104", "98 %"),
        Load(2, members=30): ("59 / - / 112", "-", "33 %"),
        Load(2, members=100): ("86 / - / 145", "-", "13 %"),
        Load(8, members=100): ("56 / - / 1033", "- / - / 86", "0.4 %"),
    }
    for load, seen in zip(real, _together(list(real), lasts_s), strict=True):
        delivery, post, early = real[load]
        yield (f"  {load.rate} replies/s, {load.members} members: request -> frame", _spread(seen.delivery), delivery)
        yield ("    request -> answer", _spread(seen.post), post)
        yield ("    frame before the answer", f"{seen.early:.0%}", early)


def beyond(lasts_s: float) -> Iterator[Row]:
    """Yield what customers wait for and what a closed loop would report, at loads up to twice what the server can do.

    A real server's connections starve each other where clients keep more of them than it has threads; the sandbox's do not.
    """
    real = {
        Load(10, senders=FEW_SENDERS): ("49 / - / 4600", "49 / - / 4600", "10"),
        Load(15, senders=FEW_SENDERS): ("363 / - / 20900", "361 / - / 20900", "15"),
        Load(20, senders=FEW_SENDERS): ("1224 / - / 16800", "216 / - / 16800", "15 to 18"),
        Load(30, senders=FEW_SENDERS): ("8046 / - / 24300", "224 / - / 17600", "15 to 18"),
    }
    for load, seen in zip(real, _together(list(real), lasts_s), strict=True):
        due, sent, served = real[load]
        yield (f"  {load.rate} replies/s offered for {lasts_s:g} s: due -> frame", _spread(seen.due), due)
        yield ("    sent -> frame", _spread(seen.sent), sent)
        yield ("    served a second", f"{seen.served:.1f}", served)


def connecting() -> Iterator[Row]:
    """Yield what opening a cable takes, now and then and all at once; the sandbox never delays small frames as Nagle's algorithm does."""
    yield ("  20 connects/s: subscribed -> confirmed", _spread(confirmed(20, 60)), "45, worst 65; 5 to 10 without Nagle's delay")
    for sockets, real in ((200, "1700, worst 2300"), (400, "3000, worst 4300")):
        took = at_once(sockets)
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
