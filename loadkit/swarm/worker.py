"""A worker of a run: it generates its share of the load and hands its intervals to the master on Locust's beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import locust.log
from locust.env import Environment
from locust.runners import WorkerRunner

from loadkit.chat.marker import Marker
from loadkit.errors import SettingsError
from loadkit.measure.recorder import Interval
from loadkit.swarm import messages
from loadkit.swarm.agent import Agent
from loadkit.swarm.keeper import Keeper
from loadkit.swarm.look import Look
from loadkit.swarm.once import Once
from loadkit.swarm.place import Place
from loadkit.swarm.run import Run
from loadkit.swarm.settings import RunSettings

__all__ = ["Worker", "place_of"]


def place_of(runner: WorkerRunner) -> Place:
    """Return the place that the master's list gives this worker; Locust's own index is no share. Raises SettingsError."""
    told: dict[str, Any] = getattr(runner.environment.parsed_options, messages.PLACES, None) or {}
    members = told.get("members", ())
    if runner.client_id not in members:
        raise SettingsError("the master does not run loadkit, or not this version of it")
    return Place(told["run"], members.index(runner.client_id), told["workers"], told["most"])


class Worker:
    """From `test_start` to `test_stop`."""

    def __init__(
        self, environment: Environment, settings: RunSettings, look: Look, place: Place, *, agents: type[Agent], cuts: Sequence[float]
    ) -> None:
        runner: Any = environment.runner
        self._runner = runner
        self.run = Run(environment, settings, look, place, agent_class=agents, cuts=cuts, on_foreign=self._foreign)
        self.drain = Once(self.run.drain, self.run.greenlet_failed)
        self.close = Once(self._close, self.run.greenlet_failed)
        environment.loadkit = self.run  # type: ignore[attr-defined]
        self._outbox: list[Interval] = []
        self._keeper = Keeper(self.run, self._outbox.append)

    def begin(self) -> None:
        """Seat the agents, and tell the master that this worker is there."""
        self.run.start()
        self._runner.send_message(messages.HERE)

    def report(self, report: dict[str, Any]) -> None:
        """Put what was recorded since the last report into this one."""
        messages.pack(report, self._outbox)
        self._outbox.clear()

    def _foreign(self, marker: Marker) -> None:
        """Tell of another worker's reply that came on a cable here: the worker whose it is marks it."""
        self._runner.send_message(messages.FOREIGN, {"marker": str(marker), "worker": marker.worker})

    def _close(self) -> None:
        if locust.log.unhandled_greenlet_exception:
            self.run.fault("listener", "a listener or a greenlet of a worker raised an exception; Locust's log has it")
        self.run.close()
        self._keeper.finish()
        self._runner._send_stats()

    def obey_shares(self, word: dict[str, Any]) -> None:
        """Learn who shares the arrivals, and when the schedule began."""
        if self.run.gate:
            self.run.gate.open(word["elapsed"], word["epochs"])

    def obey_drain(self, _: Any) -> None:
        """Drain as the master asked, and say so."""
        self.drain()
        self._runner.send_message(messages.DRAINED)

    def obey_close(self, _: Any) -> None:
        """Give every reply its end, send the last intervals, and say so."""
        self.drain()
        self.close()
        self._runner.send_message(messages.CLOSED)

    def leave(self) -> None:
        """Go before the others do: drained, with everything reported."""
        self._runner.send_message(messages.LEAVING)
        self.drain()
        self.close()
        self._runner.send_message(messages.LEFT)

    def end(self) -> None:
        """Close everything; what was recorded is the master's."""
        self.drain()
        self.close()
        self.run.end()
