"""The stock JavaScript clients, each a node process that tells what happens to it line by line."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

from tests.conformance.parts import JS

POLICIES = {"actioncable-6.1": "stock-6.1", "actioncable-7.0": "stock-7.0", "actioncable-8.1": "stock-7.0"}
"""Each package of `js/package.json`, and our policy that stands for it."""


class StockClient:
    """One client with one subscription to RoomChannel; `told` is what it said so far. It ends with its stdin."""

    def __init__(self, package: str, url: str, token: str) -> None:
        address = url.replace("http", "ws", 1) + "/cable"
        command = ["node", str(JS / "client.js"), package, address, token]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._node.stdout
        for line in self._node.stdout:
            self.told.append(json.loads(line))

    def say(self, word: str) -> None:
        """Let it unsubscribe, or perform an action of that name."""
        assert self._node.stdin
        self._node.stdin.write(word + "\n")
        self._node.stdin.flush()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each["event"] == event]

    def heard(self) -> list[str]:
        """Return the markers of the messages that it received."""
        messages = [each["message"] for each in self.of("received")]
        return [message["data"]["echo_id"] for message in messages if message["event"] == "message.created"]

    def presences(self) -> int:
        return sum(each["message"]["event"] == "presence.update" for each in self.of("received"))

    def close(self) -> None:
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.close()
        self._node.wait(10)
        self._thread.join(10)
        self._node.stdout.close()
