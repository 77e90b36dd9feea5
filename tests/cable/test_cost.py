"""What receiving costs, as ratios of two things measured in one run; absolute times are never asserted."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from loadkit.cable.happenings import Happenings
from loadkit.cable.protocol import Machine, State
from loadkit.cable.receiver import Receiver
from loadkit.clock import now_us
from tests.cable.peer import IDENTIFIER, broadcast, frame

pytestmark = pytest.mark.alone

SOCKETS = 200
FRAME = frame(broadcast("message.created", {"echo_id": "lk1:0001", "content": "x" * 1100}))


class Owner:
    """Counts what it is handed."""

    def __init__(self) -> None:
        self.marked = 0

    def mark(self, owner: Owner, payload: bytes, event: str, received_us: int, quality: str) -> None:
        self.marked += 1

    def happened(self, happenings: Happenings) -> None:
        raise AssertionError(happenings)

    def lost(self, reason: str) -> None:
        raise AssertionError(reason)

    def broke(self, error: Exception) -> None:
        raise error


@pytest.fixture
def ends() -> Iterator[Callable[[], tuple[list[socket.socket], list[socket.socket]]]]:
    """Return a maker of connected pairs over TCP: the writing ends and the reading ones."""
    kept: list[socket.socket] = []

    def make() -> tuple[list[socket.socket], list[socket.socket]]:
        with socket.create_server(("127.0.0.1", 0), backlog=SOCKETS) as listener:
            pairs = []
            for _ in range(SOCKETS):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
                reader.connect(listener.getsockname())
                reader.setblocking(False)
                pairs.append((listener.accept()[0], reader))
        kept.extend(end for pair in pairs for end in pair)
        return [writer for writer, _ in pairs], [reader for _, reader in pairs]

    yield make
    for end in kept:
        end.close()


def best_s(writers: list[socket.socket], drain: Callable[[], object], *, rounds: int = 12) -> float:
    """Return the CPU seconds of the cheapest of some rounds of draining one frame from every socket."""
    costs = []
    for _ in range(rounds):
        for writer in writers:
            writer.sendall(FRAME)
        began = time.process_time()
        drain()
        costs.append(time.process_time() - began)
    return min(costs)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")
def test_a_frame_costs_a_small_multiple_of_reading_it(ends: Callable[[], tuple[list[socket.socket], list[socket.socket]]]) -> None:
    """Stamped, named, counted, searched and handed over for at most eight times what a bare loop needs to read it (four, measured)."""
    writers, readers = ends()
    epoll, buffer = select.epoll(), bytearray(65536)
    by_fd = {reader.fileno(): reader for reader in readers}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)

    def bare() -> None:
        while ready := epoll.poll(0, 64):
            for fd, _ in ready:
                by_fd[fd].recv_into(buffer)

    floor_s = best_s(writers, bare)
    epoll.close()

    writers, readers = ends()
    receiver, owner = Receiver(b"lk1:"), Owner()
    for reader in readers:
        machine = Machine(IDENTIFIER, now_us=now_us())
        machine.state = State.CONFIRMED
        receiver.adopt(reader, owner, machine, owner.mark, since_us=now_us(), tls=False)
    ours_s = best_s(writers, receiver._ready.sweep)
    assert owner.marked == 12 * SOCKETS
    receiver.close()
    assert ours_s < 8 * floor_s, f"{ours_s / SOCKETS * 1e6:.1f} µs a frame, {floor_s / SOCKETS * 1e6:.1f} µs to read it"
