"""The replies that are waited for, by their markers, and how many of them each customer waits for."""

from __future__ import annotations

from collections.abc import Iterator

from loadkit.measure.reply import Reply

__all__ = ["Pending"]


class Pending:
    """A set of replies in the order of their coming; every question is answered without a walk."""

    def __init__(self) -> None:
        self._replies: dict[str, Reply] = {}
        self._of: dict[str, int] = {}

    def add(self, reply: Reply) -> None:
        """Wait for a reply; waiting already changes nothing."""
        if reply.marker not in self._replies:
            self._replies[reply.marker] = reply
            self._of[reply.subscription] = self._of.get(reply.subscription, 0) + 1

    def discard(self, reply: Reply) -> None:
        """Wait for a reply no longer."""
        if self._replies.pop(reply.marker, None) is not None:
            others = self._of.pop(reply.subscription) - 1
            if others:
                self._of[reply.subscription] = others

    def of(self, subscription: str) -> int:
        """Return how many replies a customer waits for."""
        return self._of.get(subscription, 0)

    def clear(self) -> None:
        """Wait for nothing."""
        self._replies.clear()
        self._of.clear()

    def __iter__(self) -> Iterator[Reply]:
        return iter(self._replies.values())

    def __len__(self) -> int:
        return len(self._replies)
