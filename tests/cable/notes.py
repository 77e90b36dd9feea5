"""A watcher that writes down what it is told."""

from __future__ import annotations

from typing import Any

from loadkit.cable.connection import Cable


class Notes:
    """`told` is every call in order, as (method, arguments without the cable)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for told, arguments in self.told if told == name]

    def _note(self, name: str, *arguments: Any) -> None:
        self.told.append((name, arguments))

    def connected(self, cable: Cable, took_us: int) -> None:
        self._note("connected", took_us)

    def confirmed(self, cable: Cable, took_us: int, gap_us: int | None) -> None:
        self._note("confirmed", took_us, gap_us)

    def dropped(self, cable: Cable, reason: str) -> None:
        self._note("dropped", reason)

    def unconfirmed(self, cable: Cable) -> None:
        self._note("unconfirmed")

    def deaf(self, cable: Cable) -> None:
        self._note("deaf")

    def presence_echo(self, cable: Cable, took_us: int) -> None:
        self._note("presence_echo", took_us)

    def ping_gap(self, cable: Cable, gap_us: int) -> None:
        self._note("ping_gap", gap_us)

    def marked(self, cable: Cable, payload: bytes, event: str, received_us: int, quality: str) -> None:
        self._note("marked", payload, event, received_us, quality)

    def remote_error(self, cable: Cable, kind: str, text: str) -> None:
        self._note("remote_error", kind, text)

    def failed(self, cable: Cable, error: BaseException) -> None:
        self._note("failed", error)
