"""`install(events)`: every listener that loadkit registers with Locust, visible on one page."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gevent
import locust.log
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadkit.errors import LoadkitError, SettingsError, UsageError
from loadkit.measure.validity import limits_with
from loadkit.swarm import patches, settings, webui
from loadkit.swarm.desk import Agent
from loadkit.swarm.keeper import PROGRESS_VARIABLE, Keeper
from loadkit.swarm.look import Look, look
from loadkit.swarm.run import Run
from loadkit.swarm.settings import RunSettings

__all__ = ["LIFELINE_VARIABLE", "install"]

LIFELINE_VARIABLE = "LOADKIT_LIFELINE"
_log = logging.getLogger("loadkit")


def install(
    events: Any, *, agents: type[Agent] = Agent, thresholds: Sequence[str] = (), validity: Mapping[str, float | str] | None = None
) -> None:
    """Register loadkit with Locust's events; call it once, at the end of a scenario.

    `agents` says how the simulated agents think, `thresholds` are lines that every run of this scenario is held to, `validity`
    overrides limits of `measure.validity.LIMITS`.
    """
    kit = _Kit(agents, tuple(thresholds), validity)
    events.init_command_line_parser.add_listener(kit.options)
    events.init.add_listener(kit.init)
    events.test_start.add_listener(kit.test_start)
    events.test_stopping.add_listener(kit.test_stopping)
    events.test_stop.add_listener(kit.test_stop)
    events.user_error.add_listener(kit.user_error)
    events.quitting.add_listener(kit.quitting)


class _Kit:
    """The listeners, and what they hand to each other: the settings and the first look on the way in, the summary on the way out."""

    def __init__(self, agents: type[Agent], thresholds: tuple[str, ...], validity: Mapping[str, float | str] | None) -> None:
        self._agents, self._thresholds, self._validity = agents, thresholds, validity
        self._ready: tuple[RunSettings, Look] | None = None
        self._keeper: Keeper | None = None
        self._drained = False
        self._signalled = False
        self._pages: list[subprocess.Popen[bytes]] = []
        self._limits: dict[str, float] = {}
        patches.apply()

    def options(self, parser: Any, **_: Any) -> None:
        """Add our options, and keep the web UI on this machine unless told otherwise."""
        settings.add_options(parser)
        parser.set_defaults(web_host="127.0.0.1")

    def init(self, environment: Environment, runner: Any, web_ui: Any, **_: Any) -> None:
        """Check everything that was given and look at the target once, before any load; what is wrong ends Locust with exit code 2."""
        options: Any = environment.parsed_options
        try:
            if isinstance(runner, MasterRunner | WorkerRunner):
                raise SettingsError("this version of loadkit runs in one process: leave out --processes, --master and --worker")
            self._limits = limits_with(self._validity)
            if web_ui is None or options.autostart:
                self._ready = self.prepare(environment)
            else:
                self._check_web(environment)
        except UsageError as error:
            print(f"loadkit: {error}", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_code) from None
        if os.environ.get(PROGRESS_VARIABLE):
            logging.getLogger("locust.stats_logger").disabled = True
        self._hold_lifeline()
        if web_ui is not None:
            webui.install(environment, web_ui, self._prepare_from_form)

    def _check_web(self, environment: Environment) -> None:
        """A target that the form may still complete is no reason not to start the web UI; a file that cannot be used is."""
        options: Any = environment.parsed_options
        if options.target or options.thresholds:
            settings.read(options, os.environ, scenario_thresholds=self._thresholds)

    def prepare(self, environment: Environment) -> tuple[RunSettings, Look]:
        """Return the settings and what the first look saw. Raises UsageError."""
        wanted = settings.read(environment.parsed_options, os.environ, scenario_thresholds=self._thresholds)
        environment.host = wanted.target.host
        return wanted, look(wanted.target)

    def _prepare_from_form(self, environment: Environment) -> None:
        self._ready = self.prepare(environment)

    def test_start(self, environment: Environment, **_: Any) -> None:
        """Make the run and its folder, and seat the agents."""
        if self._ready is None:
            self._ready = self.prepare(environment)
        wanted, seen = self._ready
        environment.process_exit_code = None
        locust.log.unhandled_greenlet_exception = False
        self._drained = False
        run = Run(environment, wanted, seen, agent_class=self._agents)
        scenario = Path(environment.locustfile or "scenario").stem
        self._keeper = Keeper(run, run.header(scenario=scenario, limits=self._limits))
        environment.loadkit = run  # type: ignore[attr-defined]
        run.start()
        _log.info("results go to %s", self._keeper.folder)

    def test_stopping(self, environment: Environment, **_: Any) -> None:
        """Drain, while customers and agents still hold their cables."""
        if self._keeper is None or self._drained:
            return
        self._drained = True
        self._keeper.stopped()
        self._keeper.run.drain()
        self._keeper.drained()

    def test_stop(self, environment: Environment, **_: Any) -> None:
        """Close everything, write the summary, and let a child process make the page."""
        keeper, self._keeper, self._ready = self._keeper, None, None
        if keeper is None:
            return
        keeper.run.end()
        if locust.log.unhandled_greenlet_exception:
            keeper.run.fault("listener", "a listener or a greenlet raised an exception; Locust's log has it")
        try:
            summary = keeper.finish("signal" if self._signalled else "user" if _by_hand(environment) else "time")
        except LoadkitError as error:
            _log.error("%s", error)
            environment.process_exit_code = 4
            return
        environment.process_exit_code = summary["exit_code"]
        _log.info("verdict: %s (%s)", summary["verdict"], keeper.folder)
        self._pages.append(_make_page(keeper.folder))

    def user_error(self, user_instance: Any, exception: Exception, tb: Any, **_: Any) -> None:
        """Count a customer's task that ended in an exception."""
        if self._keeper is not None:
            self._keeper.run.recorder.count("user.failed")
            self._keeper.run.recorder.error("user_failed", type(user_instance).__name__, f"{type(exception).__name__}: {exception}")

    def quitting(self, environment: Environment, **_: Any) -> None:
        """Stop a run that a signal interrupts (Locust fixes the exit code before it stops), and wait for the pages."""
        runner = environment.runner
        if runner is not None and runner.state in ("spawning", "running"):
            self._signalled = True
            runner.stop()
        for page in self._pages:
            page.wait()
        self._pages.clear()

    @staticmethod
    def _hold_lifeline() -> None:
        """End like on SIGTERM when the parent is gone: the other end of this pipe lives in the parent alone."""
        number = os.environ.get(LIFELINE_VARIABLE)
        if not number:
            return
        descriptor = int(number)
        os.set_blocking(descriptor, False)
        watcher = gevent.get_hub().loop.io(descriptor, 1)

        def parent_gone() -> None:
            if os.read(descriptor, 1) == b"":
                watcher.stop()
                os.kill(os.getpid(), signal.SIGTERM)

        watcher.start(parent_gone)


def _by_hand(environment: Environment) -> bool:
    options: Any = environment.parsed_options
    return environment.web_ui is not None and not options.autostart


def _make_page(folder: Path) -> subprocess.Popen[bytes]:
    """Start the child that renders report.html: pandas has no place in a load generator."""
    command = [sys.executable, "-m", "loadkit", "report", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
