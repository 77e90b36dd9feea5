"""`python -m tests.conformance.record BASE_URL CONFIG.json OUT.jsonl`: records what a chat server answers to the scripted walk.

The configuration is the first line that `loadkit sandbox --recording-layout` prints, or the same keys about a real server. Each line of
the result is one HTTP exchange, one frame or one thing done to a socket, in the order in which it was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any, TextIO

import websocket

from tests.conformance.walk import walk
from tests.sandbox.client import JSON, ask
from tests.support import eventually

KEPT = ("content-type", "x-runtime", "x-request-id", "etag", "access-control-allow-origin", "retry-after", "vary", "cache-control")
LONGEST_RAW = 400


class Line:
    """One cable socket; a thread writes down what it hears."""

    def __init__(self, recorder: Recorder, name: str, protocols: tuple[str, ...]) -> None:
        self._recorder, self._name = recorder, name
        url = recorder.base.replace("http", "ws", 1) + "/cable"
        self._ws = websocket.create_connection(url, subprotocols=list(protocols) or None, timeout=60)
        recorder.note("open", socket=name, subprotocol=self._ws.getsubprotocol(), headers=dict(self._ws.getheaders()))
        self.pings = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self._ws.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    code = int.from_bytes(data[:2], "big") if len(data) >= 2 else None
                    self._hear("close", code=code, reason=data[2:].decode("utf-8", "replace"))
                    return
                text = data.decode()
                frame = json.loads(text)
                self._hear("frame", bytes=len(data), frame=frame)
                self.pings += frame.get("type") == "ping"
        except (OSError, ValueError, websocket.WebSocketException) as error:
            if not self._recorder.over:
                self._recorder.note("drop", socket=self._name, error=repr(error)[:200])

    def _hear(self, kind: str, **more: Any) -> None:
        if not self._recorder.over:
            self._recorder.note(kind, socket=self._name, t_ms=self._recorder.since_ms(), **more)

    def say(self, command: Any) -> None:
        """Send a command, or a text as it is."""
        text = command if isinstance(command, str) else json.dumps(command)
        self._recorder.note("send", socket=self._name, text=text)
        self._ws.send(text)

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError, websocket.WebSocketException):
            self._ws.close(timeout=1)
        self._thread.join(5)


class Recorder:
    """Writes rows to `sink`. A step is over when nothing but pings has been done or heard for `quiet_s` seconds."""

    def __init__(self, base: str, sink: TextIO, *, quiet_s: float = 1.5) -> None:
        self.base = base.rstrip("/")
        self.over = False
        self._sink, self._quiet_s = sink, quiet_s
        self._lock = threading.Lock()
        self._step = ""
        self._began = self._latest = time.monotonic()
        self._lines: list[Line] = []

    def step(self, name: str) -> None:
        """Begin a step, after all that the one before has caused."""
        self.settle()
        self._step, self._began = name, time.monotonic()

    def since_ms(self) -> float:
        """Return the milliseconds since the step began."""
        return round((time.monotonic() - self._began) * 1e3, 2)

    def note(self, kind: str, **row: Any) -> None:
        """Write a row of the present step."""
        if row.get("frame", {}).get("type") != "ping":
            self._latest = time.monotonic()
        with self._lock:
            self._sink.write(json.dumps({"step": self._step, "kind": kind, **row}, ensure_ascii=False) + "\n")

    def call(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, raw: bytes | None = None, kind: str = JSON
    ) -> Any:
        """Send one request and return the body of its answer, None where that is no JSON. `raw` is sent as it is, as of type `kind`."""
        sent = dict(headers or {})
        if body is not None or raw is not None:
            sent["Content-Type"] = kind
        began = time.monotonic()
        answer = ask(self.base, method, path, body, headers=sent, raw=raw)
        took_ms = round((time.monotonic() - began) * 1e3, 2)
        response: dict[str, Any] = {"status": answer.status, "headers": {k: v for k, v in answer.headers.items() if k in KEPT}}
        try:
            response["body"] = json.loads(answer.body) if answer.body else None
        except ValueError:
            response |= {"body": None, "raw": answer.body[:LONGEST_RAW].decode("utf-8", "replace")}
        shown = body if raw is None else f"<{len(raw)} raw bytes>"
        request = {"method": method, "path": path, "headers": sent, "body": shown}
        self.note("http", request=request, response=response | {"bytes": len(answer.body)}, ms=took_ms)
        return response["body"]

    def open(self, name: str, protocols: tuple[str, ...] = ("actioncable-v1-json", "actioncable-unsupported")) -> Line:
        """Open a socket under a name."""
        line = Line(self, name, protocols)
        self._lines.append(line)
        return line

    def settle(self) -> None:
        """Return when nothing has been done or heard for long enough."""
        eventually(lambda: time.monotonic() - self._latest > self._quiet_s, within=60, every=self._quiet_s / 5)

    def idle(self, pings: int) -> None:
        """Listen until every socket has been pinged so often."""
        for line in self._lines:
            eventually(lambda each=line, wanted=line.pings + pings: each.pings >= wanted, within=20 * pings, every=0.05)

    def close(self) -> None:
        """Leave."""
        self.over = True
        for line in self._lines:
            line.close()


def record(base: str, config: dict[str, Any], path: Path, *, quiet_s: float = 1.5, pings: int = 3) -> None:
    """Record the walk of a server into a file; it ends with listening for `pings` pings."""
    with path.open("w") as sink:
        recorder = Recorder(base, sink, quiet_s=quiet_s)
        try:
            walk(recorder, config)
            recorder.step("idle")
            recorder.idle(pings)
        finally:
            recorder.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.record", description="Record a chat server's answers and frames.")
    parser.add_argument("base")
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quiet", type=float, default=1.5, help="seconds of silence that end a step (default: 1.5)")
    args = parser.parse_args()
    record(args.base, json.loads(args.config.read_text()), args.out, quiet_s=args.quiet)


if __name__ == "__main__":
    main()
