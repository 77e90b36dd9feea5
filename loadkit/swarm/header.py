"""The header of a run folder: what a run is, known before its first request. It holds no secret."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from locust.env import Environment

from loadkit import clock, units
from loadkit.results.format import Header
from loadkit.swarm.look import Look
from loadkit.swarm.place import seats
from loadkit.swarm.settings import RunSettings

__all__ = ["header_of"]

_PACKAGES = ("locust", "gevent", "websocket-client", "msgspec")
_LOCUST = {"num_users": "users", "spawn_rate": "spawn_rate", "run_time": "run_time"}


def header_of(
    environment: Environment, settings: RunSettings, look: Look, *, run: str, limits: dict[str, float], workers: int = 1
) -> Header:
    """Return the header of a run that starts now."""
    started_us = clock.unix_us()
    started = datetime.fromtimestamp(started_us / 1e6, UTC)
    scenario = Path(environment.locustfile or "scenario").stem
    given = dict(vars(environment.parsed_options)) if environment.parsed_options else {}
    given["run_time"] = getattr(environment.shape_class, "run_time", given.get("run_time"))
    return Header(
        loadkit=version("loadkit"),
        run=run,
        name="-".join(part for part in (started.strftime("%Y%m%dT%H%M%SZ"), scenario, settings.label) if part),
        scenario=scenario,
        label=settings.label,
        started=units.iso(started_us),
        started_us=started_us,
        target=settings.target.public(),
        agents=seats(settings.agent_count, workers),
        workers=workers,
        settings=settings.public() | {ours: given[name] for name, ours in _LOCUST.items() if given.get(name) is not None},
        thresholds=list(settings.thresholds),
        limits=limits,
        environment=_environment(),
        notes=[*look.notes, *_notes(settings, workers)],
    )


def _notes(settings: RunSettings, workers: int) -> list[str]:
    tokens, agents = len(settings.target.agent_tokens), seats(settings.agent_count, workers)
    notes = []
    if agents > settings.agent_count:
        notes.append(f"{agents} agents, one a worker at least, where {settings.agent_count} were asked for")
    if agents > tokens:
        notes.append(f"{agents} agents share {tokens} access tokens")
    return notes


def _environment() -> dict[str, Any]:
    stamped = sys.platform.startswith("linux")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        **{package: version(package) for package in _PACKAGES},
        "clock": clock.CLOCK,
        "receive stamps": "kernel (SO_TIMESTAMPNS) on plain TCP, user space on TLS" if stamped else "user space",
    }
