"""A run that is one process: it generates the load and keeps the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from locust.env import Environment

from loadkit.measure.recorder import Interval
from loadkit.swarm import patches, shapes
from loadkit.swarm.agent import Agent
from loadkit.swarm.header import header_of
from loadkit.swarm.keeper import Keeper
from loadkit.swarm.look import Look
from loadkit.swarm.once import Once
from loadkit.swarm.place import Place, new_run_id
from loadkit.swarm.record import Record
from loadkit.swarm.run import Run
from loadkit.swarm.settings import RunSettings

__all__ = ["Local"]


class Local:
    """From `test_start` to `test_stop`. Raises ResultsError where no folder can be made."""

    def __init__(
        self,
        environment: Environment,
        settings: RunSettings,
        look: Look,
        *,
        agents: type[Agent],
        cuts: Sequence[float],
        limits: dict[str, float],
    ) -> None:
        place = Place(new_run_id(), most=shapes.most_at_once(environment))
        self.run = Run(environment, settings, look, place, agent_class=agents, cuts=cuts)
        header = header_of(environment, settings, look, run=place.run, limits=limits)
        self.record = Record(header, results=settings.results, deliveries=settings.log_deliveries)
        self.drain = Once(self._drain, self.run.greenlet_failed)
        environment.loadkit = self.run  # type: ignore[attr-defined]
        self._environment = environment
        self._keeper = Keeper(self.run, self._take)

    def begin(self) -> None:
        """Seat the agents, and let arrivals come."""
        self.run.start()
        if self.run.gate:
            self.run.gate.open(0.0, [(0, (0,))])
            shapes.opened(self._environment)

    def _take(self, interval: Interval) -> None:
        self.record.add(interval)
        self.record.write()
        patches.forget_old_seconds(self.run.environment.stats)

    def _drain(self) -> None:
        self.record.stopped()
        self.run.drain()
        self.run.close()
        self.record.drained()

    def end(self, ended_by: str) -> dict[str, Any]:
        """Close everything and return the summary. Raises ResultsError."""
        self.run.end()
        self._keeper.finish()
        return self.record.finish(ended_by)
