"""Feeds a reader in one of two ways.

Either it is stopped meanwhile, and when it goes on every socket has one frame: it is saturated whatever its speed, and never waits. Or
frames are sent at a given rate while it reads, as a server does: then the wake-ups count, and what two cores cost each other.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.bench.plan import Plan, identifier, payload
from tests.cable.peer import WELCOME, accept, confirmation, frame

PATIENCE_S = 120


def greet(sock: socket.socket, n: int) -> None:
    """Take one client through the upgrade, the welcome and the subscription, as a server does."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += sock.recv(4096)
    key = next(line.split(": ", 1)[1] for line in request.decode().split("\r\n") if line.lower().startswith("sec-websocket-key:"))
    protocol = "Sec-WebSocket-Protocol: actioncable-v1-json\r\n" if b"actioncable-v1-json" in request else ""
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept(key)}\r\n"
    sock.sendall(f"{head}{protocol}\r\n".encode() + frame(WELCOME))
    if not sock.recv(4096):
        raise ConnectionError("the reader left before it subscribed")
    sock.sendall(frame(confirmation(identifier(n))))


def feed(plan: Plan, command: Callable[[int], list[str]], *, handshake: bool, rate: int = 0) -> dict[str, Any]:
    """Start a reader by its command for a port, send it every round, and return the JSON line that it prints.

    `rate` is in frames a second; 0 stops the reader while it is fed.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener, contextlib.ExitStack() as held:
        listener.settimeout(PATIENCE_S)
        process = subprocess.Popen(command(listener.getsockname()[1]), stdout=subprocess.PIPE, bufsize=0)
        try:
            sockets = []
            for n in range(plan.sockets):
                sock = held.enter_context(listener.accept()[0])
                sock.settimeout(PATIENCE_S)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if handshake:
                    greet(sock, n)
                sockets.append(sock)
            return _rounds(plan, process, sockets, ready=handshake, rate=rate)
        finally:
            process.kill()
            process.wait()


def _rounds(plan: Plan, process: subprocess.Popen[bytes], sockets: list[socket.socket], *, ready: bool, rate: int) -> dict[str, Any]:
    """Send the rounds, each once the one before is acknowledged by a newline; `ready` readers say first that they are."""
    assert process.stdout is not None
    out, text = process.stdout.fileno(), b""
    order, rng = list(range(plan.sockets)), random.Random(1)
    if ready:
        text += _heard(out)
    for turn in range(plan.rounds):
        rng.shuffle(order)
        frames = [(sockets[n], frame(payload(n, turn * plan.sockets + n))) for n in order]
        if rate:
            _send_paced(frames, rate)
        else:
            os.kill(process.pid, signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            for sock, data in frames:
                sock.sendall(data)
            os.kill(process.pid, signal.SIGCONT)
        text += _heard(out)
    while chunk := os.read(out, 65536):
        text += chunk
    result: dict[str, Any] = json.loads(text)
    return result


def _send_paced(frames: list[tuple[socket.socket, bytes]], rate: int) -> None:
    """Send at an even rate; this core is the feeder's own, so it need not sleep between two frames."""
    due = itertools.count(time.perf_counter(), 1 / rate)
    for (sock, data), at in zip(frames, due, strict=False):
        while time.perf_counter() < at:
            pass
        sock.sendall(data)


def _heard(out: int) -> bytes:
    """Wait for an acknowledgement; raises ConnectionError where the reader ended instead."""
    if not (said := os.read(out, 1)):
        raise ConnectionError("the reader ended early")
    return said
