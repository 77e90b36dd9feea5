"""Which action a method and a path mean, over a table of routes; a path that is nothing means none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from loadkit.sandbox.exchange import Answer, Request, unquoted
from loadkit.sandbox.truth import Attempt

__all__ = ["Action", "Found", "Router", "Witness"]

Action = Callable[[Request], Answer]
Witness = Callable[[Request], Attempt | None]

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: re.Pattern[str]
    actions: dict[str, tuple[Action, Witness | None]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a path means: its action, its filled-in placeholders, and who notes the request before anything may refuse it."""

    action: Action
    fills: dict[str, str]
    witness: Witness | None


class Router:
    """Routes in the order they were added; a segment holds no dot, a trailing `.json` is a format."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def add(self, method: str, template: str, action: Action, *, witness: Witness | None = None) -> None:
        """Let `method` on a path like `template` (with `{placeholders}`) mean `action`."""
        if template not in self._entries:
            parts = _PLACE.split(template)
            names = [f"(?P<{part}>[^/.]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts)]
            self._entries[template] = _Entry(re.compile("".join(names) + r"(?:\.[^/.]+)?/?"), {})
        self._entries[template].actions[method] = (action, witness)

    def find(self, method: str, path: str) -> Found | None:
        """Return what a method and a path mean, placeholders unquoted, or None. Raises Refused for a path that is no UTF-8."""
        for entry in self._entries.values():
            if (known := entry.actions.get(method)) and (match := entry.pattern.fullmatch(path)):
                action, witness = known
                return Found(action, {key: unquoted(value) for key, value in match.groupdict().items()}, witness)
        return None
