"""Customers of earlier runs: who they were is kept in a file, as an app keeps it, so that a run does not only make a database grow.

A line a customer, the last one of a customer holds; the file has secrets and is its owner's alone.
"""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadkit.errors import SettingsError
from loadkit.swarm.place import Place

if TYPE_CHECKING:
    from loadkit.swarm.settings import RunSettings

__all__ = ["Identities", "Identity", "check"]


class Identity(msgspec.Struct, frozen=True):
    """A customer of a host and an inbox: the contact's session, its identifier where HMAC needs one, and its conversations."""

    host: str
    inbox: str
    source_id: str
    pubsub_token: str
    identifier: str | None = None
    conversations: list[int] = []


def check(path: Path) -> None:
    """Raise SettingsError where a file cannot be used: others may read it, or it holds something else."""
    if path.exists():
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError(f"the identities file {path} holds secrets and others may read it: chmod 600 {path}")
        _read(path)
    elif not path.parent.is_dir():
        raise SettingsError(f"the identities file {path} cannot be made: {path.parent} is no folder")


def _read(path: Path) -> dict[tuple[str, str, str], Identity]:
    kept: dict[tuple[str, str, str], Identity] = {}
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            identity = msgspec.json.decode(line, type=Identity)
            kept[identity.host, identity.inbox, identity.source_id] = identity
    except (OSError, ValueError) as error:
        raise SettingsError(f"the identities file {path} cannot be read: {error}") from None
    return kept


class Identities:
    """One worker's share of the customers who may come back, and the keeping of its own. Raises SettingsError."""

    def __init__(
        self, path: Path, *, host: str, inboxes: tuple[str, ...], returning: float, rank: int, workers: int, rng: random.Random
    ) -> None:
        self._path, self._host, self._returning, self._rng = path, host, returning, rng
        mine = [one for one in _read(path).values() if one.host == host and one.inbox in inboxes]
        self._back = mine[rank::workers] if rank < workers else []
        rng.shuffle(self._back)
        self._unwritten: list[bytes] = []

    @classmethod
    def of(cls, settings: RunSettings, place: Place, rng: random.Random) -> Identities | None:
        """Return those of a run, None where it keeps none."""
        if settings.identities is None:
            return None
        host, inboxes = settings.target.host, settings.target.inboxes
        return cls(
            settings.identities, host=host, inboxes=inboxes, returning=settings.returning, rank=place.rank, workers=place.workers, rng=rng
        )

    def draw(self) -> Identity | None:
        """Return who comes back, by the share of those who do; None for somebody new, and when all have been here."""
        return self._back.pop() if self._back and self._rng.random() < self._returning else None

    def keep(self, identity: Identity) -> None:
        """Keep a customer; the next `write` puts the line into the file."""
        self._unwritten.append(msgspec.json.encode(identity) + b"\n")

    def write(self) -> None:
        """Append what was kept, in one piece, so that workers who share the file do not mix their lines. Blocks; raises OSError."""
        lines, self._unwritten = self._unwritten, []
        if lines:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, b"".join(lines))
            finally:
                os.close(descriptor)
