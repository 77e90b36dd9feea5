"""`install(events)`: every listener that loadkit registers with Locust, visible on one page."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import gevent
import locust.log
from gevent.event import Event
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadkit import lifeline
from loadkit.errors import LoadkitError, SettingsError, UsageError
from loadkit.measure.validity import limits_with
from loadkit.results.writer import make_parent
from loadkit.swarm import messages, patches, settings, shapes, webui
from loadkit.swarm.agent import Agent
from loadkit.swarm.local import Local
from loadkit.swarm.look import Look, look
from loadkit.swarm.master import Master
from loadkit.swarm.once import Once
from loadkit.swarm.settings import RunSettings
from loadkit.swarm.unusable import end_forked, end_unusable, is_installed
from loadkit.swarm.worker import Worker, place_of

__all__ = ["install"]

_log = logging.getLogger("loadkit")


def install(
    events: Any,
    *,
    agents: type[Agent] = Agent,
    thresholds: Sequence[str] = (),
    validity: Mapping[str, float | str] | None = None,
    cut_cables: Sequence[str | float] = (),
) -> None:
    """Register loadkit with Locust's events; call it once, at the end of a scenario.

    `agents` says how the simulated agents think, `thresholds` are lines that every run of this scenario is held to, `validity`
    overrides limits of `measure.validity.LIMITS`, `cut_cables` are moments after the start ("30s") at which every customer's cable is
    cut at once.
    """
    try:
        if is_installed(events):
            raise SettingsError("install(events) was called a second time: a run has one scenario, and that imports no other")
        kit = _Kit(agents, tuple(thresholds), validity, settings.moments(cut_cables))
    except UsageError as error:
        end_unusable(error)
    events.init_command_line_parser.add_listener(kit.options)
    events.init.add_listener(kit.init)
    events.test_start.add_listener(kit.test_start)
    events.test_stopping.add_listener(kit.test_stopping)
    events.test_stop.add_listener(kit.test_stop)
    events.user_error.add_listener(kit.user_error)
    events.report_to_master.add_listener(kit.report_to_master)
    events.worker_report.add_listener(kit.worker_report)
    events.worker_connect.add_listener(kit.worker_connect)
    events.heartbeat_sent.add_listener(kit.heartbeat_sent)
    events.quitting.add_listener(kit.quitting)


class _Kit:
    """The listeners, and what they hand to each other: the settings and the first look on the way in, the summary on the way out."""

    def __init__(
        self, agents: type[Agent], thresholds: tuple[str, ...], validity: Mapping[str, float | str] | None, cuts: tuple[float, ...]
    ) -> None:
        self._agents, self._thresholds, self._validity, self._cuts = agents, thresholds, validity, cuts
        self._ready: tuple[RunSettings, Look] | None = None
        self._node: Local | Master | Worker | None = None
        self._ending: Once | None = None
        self._ended_by = "time"
        self._initialised = Event()
        self._pages: list[subprocess.Popen[bytes]] = []
        self._limits: dict[str, float] = {}
        patches.apply()

    def options(self, parser: Any, **_: Any) -> None:
        """Add our options, and keep the web UI on this machine unless told otherwise."""
        settings.add_options(parser)
        parser.set_defaults(web_host="127.0.0.1")

    # Before any load.

    def init(self, environment: Environment, runner: Any, web_ui: Any, **_: Any) -> None:
        """Check everything that was given and look at the target once, before any load; what is wrong ends Locust with exit code 2."""
        options: Any = environment.parsed_options
        patches.interrupt_main_alone()
        # Registered after Locust's own, it is called before it: there is still a master to tell, and a run to stop.
        environment.events.quitting.add_listener(self.leaving)  # type: ignore[no-untyped-call]
        if isinstance(runner, WorkerRunner):
            self._listen_to_master(runner)
            self._initialised.set()
            return
        try:
            self._limits = limits_with(self._validity)
            if web_ui is None or options.autostart:
                self._ready = self.prepare(environment)
                if line := shapes.choose(environment, self._ready[0], runner):
                    print(f"loadkit: {line}", file=sys.stderr, flush=True)
            else:
                self._check_web(environment)
        except UsageError as error:
            end_unusable(error)
        if isinstance(runner, MasterRunner):
            self._listen_to_workers(runner)
        if lifeline.has_parent():
            logging.getLogger("locust.stats_logger").disabled = True
        self._hold_lifeline()
        if options.headless and environment.shape_class is not None:
            # Locust's main waits for a shape's end before it listens to this signal.
            gevent.signal_handler(signal.SIGTERM, self._terminated, environment)
        if web_ui is not None:
            webui.install(
                environment, web_ui, prepare=self._prepare_from_form, is_draining=self._is_draining, on_stop=self._stopped_by_hand
            )

    def _check_web(self, environment: Environment) -> None:
        """A target that the form may still complete is no reason not to start the web UI; a file that cannot be used is."""
        options: Any = environment.parsed_options
        if options.target or options.thresholds:
            environment.host = settings.read(options, os.environ, scenario_thresholds=self._thresholds).target.host

    def prepare(self, environment: Environment) -> tuple[RunSettings, Look]:
        """Return the settings and what the first look saw. Raises UsageError."""
        wanted = settings.read(environment.parsed_options, os.environ, scenario_thresholds=self._thresholds)
        settings.check_tags(environment.parsed_options, environment.user_classes)
        environment.host = wanted.target.host
        seen = look(wanted.target)
        make_parent(wanted.results)
        return wanted, seen

    def _prepare_from_form(self, environment: Environment) -> None:
        self._ready = self.prepare(environment)
        shapes.choose(environment, self._ready[0], environment.runner)

    def _stopped_by_hand(self) -> None:
        if not self._is_draining():
            self._ended_by = "user"

    def _is_draining(self) -> bool:
        return self._node is not None and self._node.drain.begun

    def _prepare_worker(self, environment: Environment) -> tuple[RunSettings, Look]:
        """Read what the master was given, with the master's host and this machine's own target file, if it has one. Raises UsageError."""
        options: Any = copy(environment.parsed_options)
        own: Any = get_parser().parse_known_args()[0]  # what the master was given has overwritten it by now
        options.target, options.identities = own.target or options.target, own.identities or options.identities
        options.host = options.i_own_this_host = environment.host  # the master has asked whose it is
        options.threshold, options.thresholds = [], ""  # the master judges
        wanted = settings.read(options, os.environ)
        return wanted, look(wanted.target)

    # Master and workers.

    def _listen_to_master(self, runner: WorkerRunner) -> None:
        def on(kind: str, do: Any) -> None:
            def listener(environment: Environment, msg: Any, **_: Any) -> None:
                if isinstance(self._node, Worker):
                    do(self._node, msg.data)
                elif kind in messages.ANSWERS:  # it never started: nothing is left to be done here
                    runner.send_message(messages.ANSWERS[kind])

            runner.register_message(kind, listener, concurrent=True)

        on(messages.SHARES, Worker.obey_shares)
        on(messages.DRAIN, Worker.obey_drain)
        on(messages.CLOSE, Worker.obey_close)
        on(messages.MISROUTED, lambda node, data: node.run.ledger.misrouted(data["marker"]))

    def _listen_to_workers(self, runner: MasterRunner) -> None:
        def listener(environment: Environment, msg: Any, **_: Any) -> None:
            if isinstance(self._node, Master):
                self._node.said(msg.type, msg.node_id, msg.data or {})

        for kind in messages.TO_MASTER:
            runner.register_message(kind, listener)

    def report_to_master(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        """Let intervals ride in Locust's report."""
        if isinstance(self._node, Worker):
            self._node.report(data)

    def worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        """Merge what a worker reports."""
        if isinstance(self._node, Master):
            self._node.report(client_id, data)

    def worker_connect(self, client_id: str, **_: Any) -> None:
        """Give a worker that joins in mid-run its place."""
        if isinstance(self._node, Master):
            self._node.connected(client_id)

    def heartbeat_sent(self, client_id: str, timestamp: float, **_: Any) -> None:
        """Note a sign of life: Locust's master answers each heartbeat of a worker by one."""
        if isinstance(self._node, Master):
            self._node.fleet.hear(client_id)

    # The run.

    def test_start(self, environment: Environment, **_: Any) -> None:
        """Make the run and its folder, and seat the agents."""
        if environment.runner is None:
            self._initialised.wait()  # a worker that joins late may be told to start before it has heard of `init`
        environment.process_exit_code, self._ended_by = None, "time"
        locust.log.unhandled_greenlet_exception = False
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            self._start_worker(environment, runner)
            return
        wanted, seen = self._ready or self.prepare(environment)
        node: Local | Master
        if isinstance(runner, MasterRunner):
            node = Master(environment, wanted, seen, limits=self._limits, give_up=lambda: self._give_up(environment))
        else:
            node = Local(environment, wanted, seen, agents=self._agents, cuts=self._cuts, limits=self._limits)
        self._node = node  # before anything that waits: a stop may come any time
        self._ending = Once(lambda: self._conclude(environment, node), lambda greenlet: node.record.fault("end", str(greenlet.exception)))
        _log.info("results go to %s", node.record.folder)
        node.begin()

    def _start_worker(self, environment: Environment, runner: WorkerRunner) -> None:
        environment.process_exit_code = 0  # the master speaks the verdict
        try:
            place = place_of(runner)
            wanted, seen = self._prepare_worker(environment)
            self._node = Worker(environment, wanted, seen, place, agents=self._agents, cuts=self._cuts)
            self._node.begin()
        except Exception as error:  # noqa: BLE001 - whatever it is, the master must not wait for this worker
            text = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            environment.loadkit = self._node = None  # type: ignore[attr-defined]
            environment.process_exit_code = UsageError.exit_code
            _log.error("%s", text)
            runner.send_message(messages.UNABLE, {"text": text})

    @staticmethod
    def _give_up(environment: Environment) -> None:
        """End a run that a worker cannot take part in; never from a message's own greenlet, which must go on to listen."""
        runner: Any = environment.runner
        gevent.spawn(runner.quit if environment.web_ui is None else runner.stop)

    def test_stopping(self, environment: Environment, **_: Any) -> None:
        """Drain, while customers and agents still hold their cables."""
        if self._node is None:
            return
        if self._ended_by == "time" and not self._is_draining() and shapes.is_cut_short(environment):
            self._ended_by = "signal"  # Locust takes Ctrl-C for the end of a shape
        self._node.drain()

    def test_stop(self, environment: Environment, **_: Any) -> None:
        """Close everything, write the summary, and let a child process make the page; whoever else stops the run waits for that."""
        if isinstance(self._node, Worker):
            node, self._node = self._node, None
            node.end()
            environment.loadkit = None  # type: ignore[attr-defined]
        elif self._ending is not None:
            self._ending()

    def _conclude(self, environment: Environment, node: Local | Master) -> None:
        if locust.log.unhandled_greenlet_exception:
            node.record.fault("listener", "a listener or a greenlet raised an exception; Locust's log has it")
        try:
            summary = node.end(self._ended_by)
        except LoadkitError as error:
            _log.error("%s", error)
            environment.process_exit_code = 4
        else:
            environment.process_exit_code = summary["exit_code"]
            _log.info("verdict: %s (%s)", summary["verdict"], node.record.folder)
            self._pages.append(_make_page(node.record.folder))
        environment.loadkit = self._node = self._ready = None  # type: ignore[attr-defined]
        runner: Any = environment.runner
        if isinstance(node, Master) and not node.fleet.present and environment.web_ui is None:
            gevent.spawn(runner.quit)  # Locust's master would wait for workers to the end of the run time

    def user_error(self, user_instance: Any, exception: Exception, tb: Any, **_: Any) -> None:
        """Count a customer's task that ended in an exception."""
        if isinstance(self._node, Local | Worker):
            recorder = self._node.run.recorder
            recorder.count("user.failed")
            user = getattr(user_instance, "user", user_instance)  # Locust hands over the task set that was at work
            recorder.error("user_failed", type(user).__name__, f"{type(exception).__name__}: {exception}")

    # The end.

    def leaving(self, environment: Environment, **_: Any) -> None:
        """Stop a run that a signal interrupts, before Locust fixes the exit code; a worker drains and reports before it goes."""
        if isinstance(self._node, Worker):
            self._node.leave()
        elif self._node is not None:
            self._stop_for_signal(environment)

    def _stop_for_signal(self, environment: Environment) -> None:
        runner: Any = environment.runner
        if not self._is_draining():
            self._ended_by = "signal"
        runner.stop(send_stop_to_client=False) if isinstance(runner, MasterRunner) else runner.stop()
        self.test_stopping(environment)  # where Locust did not think that the run had begun
        self.test_stop(environment)

    def _terminated(self, environment: Environment) -> None:
        """End by SIGTERM while Locust does not listen: stopped in good order here, then quit, which lets its main go on to its end."""
        runner: Any = environment.runner
        if self._node is not None:
            self._stop_for_signal(environment)
            runner.quit()
        elif runner.state not in ("stopped", "cleanup", "stopping"):
            end_forked()
            os._exit(130)

    def quitting(self, environment: Environment, **_: Any) -> None:
        """Wait for the end of a run, if it still ends, and for the pages, last of all."""
        if self._ending is not None and self._ending.begun:
            self._ending()
        for page in self._pages:
            page.wait()
        self._pages.clear()

    @staticmethod
    def _hold_lifeline() -> None:
        """End like on SIGTERM when the parent is gone."""
        descriptor = lifeline.lifeline()
        if descriptor is None:
            return
        watcher = gevent.get_hub().loop.io(descriptor, 1)

        def parent_gone() -> None:
            if lifeline.is_cut(descriptor):
                watcher.stop()
                os.kill(os.getpid(), signal.SIGTERM)

        watcher.start(parent_gone)


def _make_page(folder: Path) -> subprocess.Popen[bytes]:
    """Start the child that renders report.html: pandas has no place in a load generator."""
    command = [sys.executable, "-m", "loadkit", "report", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
