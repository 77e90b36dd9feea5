"""`Sandbox`: the whole stand-in as one object with a start and a stop, on a thread of its own.

The thread has its own gevent hub, so it serves clients that use plain blocking sockets in the same process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from gevent.socket import SO_REUSEADDR, SOL_SOCKET
from gevent.socket import socket as Socket

from loadkit.errors import SettingsError
from loadkit.sandbox import layout
from loadkit.sandbox.apis import Parts, declare
from loadkit.sandbox.broadcast import Broadcasts
from loadkit.sandbox.cable import Cable
from loadkit.sandbox.control import Control
from loadkit.sandbox.delivery import Delivery
from loadkit.sandbox.dialect import PRESENT, dialect
from loadkit.sandbox.face import Face
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.front import Front
from loadkit.sandbox.pipeline import HELD, Pipeline, held_share
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.router import Router
from loadkit.sandbox.service import Service
from loadkit.sandbox.store import ACCOUNT, Store
from loadkit.sandbox.throttle import Throttle
from loadkit.sandbox.truth import Truth

__all__ = ["Sandbox"]

BACKLOG = 2048
MOST_CONNECTIONS = 20_000
MOST_CONTROLLERS = 64
STOPS_WITHIN_S = 10.0
CLOSES_WITHIN_S = 0.1


class Sandbox:
    """A OneHash Chat small enough to trust. Raises SettingsError for a service, fault or dialect that cannot be read.

    `faults` are texts like "drop=1%"; `truth` a file that gets one JSON line a reply attempt; `agents` the number of agents besides
    the administrator; `lock` the share of a request's time that holds the interpreter lock ("0", "50%"; default: as the real server);
    `hmac_mandatory` makes the target name the inbox that demands a proof of identity; `release` is the dialect it
    speaks, "4.2.0" or "3.0.0"; `throttle` how many requests a minute one address may send;
    `recording_layout` prepares the account as the recorded one was. Not for a monkey-patched process.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        seed: int = 0,
        http_threads: int = 5,
        jobs: int = 10,
        service: str = "real",
        lock: str | float = HELD,
        faults: Iterable[str] = (),
        truth: str | Path | None = None,
        agents: int = 3,
        hmac_mandatory: bool = False,
        release: str = PRESENT.version,
        throttle: int | None = None,
        recording_layout: bool = False,
    ) -> None:
        if min(http_threads, jobs) < 1 or agents < 0:
            raise SettingsError("a sandbox needs at least one HTTP thread and one job worker")
        self._address = (host, port)
        self._control_address = (host, control_port)
        self._hmac_mandatory = hmac_mandatory
        self._first_faults = dict(map(_pair, faults))
        Faults(seed).set(self._first_faults)  # a bad one is told before anything runs
        self._dialect = dialect(release)
        self.store = Store(seed=seed, agents=layout.AGENTS if recording_layout else agents, dialect=self._dialect)
        if recording_layout:
            layout.lay_out(self.store)
        self._faults = Faults(seed)
        self._service = Service.parse(service)
        self._throttle = Throttle(throttle, safe=self._dialect is PRESENT)
        self._queues: dict[str, Any] = {"http_threads": http_threads, "jobs": jobs, "seed": seed, "lock": held_share(lock)}
        self.truth = Path(truth) if truth else None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._waker: Any = None
        self._ports = (0, 0)

    @property
    def url(self) -> str:
        """The base URL of the imitated server."""
        return f"http://{self._address[0]}:{self._ports[0]}"

    @property
    def control(self) -> str:
        """The base URL of the control API."""
        return f"http://{self._address[0]}:{self._ports[1]}"

    @property
    def inbox(self) -> str:
        """The identifier of the plain inbox."""
        return self.store.plain.identifier

    @property
    def hmac_inbox(self) -> str:
        """The identifier of the inbox that demands a proof of identity."""
        return self.store.verified.identifier

    @property
    def agent_tokens(self) -> list[str]:
        """The access tokens of the agents, the administrator's left out."""
        return [user.access_token for user in self.store.users if user.role == "agent"]

    def described(self) -> dict[str, Any]:
        """Return what a recorder must know; only of a sandbox with the recording layout."""
        return layout.described(self.store)

    def target_text(self) -> str:
        """Return the target file's text: TOML with secrets in it."""
        inbox = self.store.verified if self._hmac_mandatory else self.store.plain
        lines = [f'host = "{self.url}"', f"account = {ACCOUNT}", f'inbox = "{inbox.identifier}"']
        if self._hmac_mandatory:
            lines.append(f'hmac_token = "{inbox.hmac_token}"')
        tokens = ", ".join(f'"{token}"' for token in self.agent_tokens)
        return "\n".join([*lines, f"agent_tokens = [{tokens}]", ""])

    def write_target(self, path: str | Path) -> None:
        """Write the target file, readable by its owner alone."""
        Path(path).unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.target_text())

    def start(self) -> Sandbox:
        """Start the server and return when it listens; once. Raises OSError where a port or the truth file is not to be had."""
        if self._thread:
            return self
        self._thread = threading.Thread(target=self._run, name="loadkit-sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed:
            self._thread.join(STOPS_WITHIN_S)
            raise self._failed
        return self

    def stop(self) -> None:
        """Drop every connection and end the thread."""
        if self._thread and self._thread.is_alive() and self._waker:
            self._waker.send()
            self._thread.join(STOPS_WITHIN_S)

    def __enter__(self) -> Sandbox:
        """Start."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def _run(self) -> None:
        """Run the hub of this thread until `stop` wakes it; what fails is raised by `start`."""
        hub = gevent.get_hub()
        try:
            self._serve(hub)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for us
            self._failed = error
        finally:
            self._ready.set()
            hub.destroy(destroy_loop=True)

    def _serve(self, hub: Any) -> None:
        with ExitStack() as held:
            listeners = [held.enter_context(_listening(address)) for address in (self._address, self._control_address)]
            truth = held.enter_context(closing(Truth(self.truth)))
            self._ports = (listeners[0].getsockname()[1], listeners[1].getsockname()[1])
            stopped = Event()
            self._waker = hub.loop.async_()
            self._waker.start(stopped.set)
            self._serve_until(stopped, truth, *listeners)

    def _serve_until(self, stopped: Event, truth: Truth, listener: Socket, control_listener: Socket) -> None:
        """Wire the parts together, run them until `stopped`, and end them in the order in which none misses another."""
        presence, router = Presence(staff=self.store.users), Router()
        pipeline = Pipeline(self._service, **self._queues)
        cable = Cable(self.store, presence, pipeline, self._faults, self._dialect)
        delivery = Delivery(cable, self._faults)
        broadcasts = Broadcasts(self.store, cable, presence, pipeline, self._dialect)
        declare(router, Parts(self.store, presence, broadcasts, delivery, self._faults, truth, self._dialect, self.url))
        front = Front(router, cable, pipeline, self._faults, self._throttle)
        server = _server(listener, front, MOST_CONNECTIONS, Face)
        control_server = _server(control_listener, Control(self.store, cable, front, self._faults, truth), MOST_CONTROLLERS)
        try:
            self._faults.set(self._first_faults)
            for part in (pipeline, cable, server, control_server):
                part.start()
            self._ready.set()
            stopped.wait()
        finally:
            for part in (cable, delivery, pipeline):
                part.stop()
            for each in (server, control_server):
                each.stop(timeout=CLOSES_WITHIN_S)


def _listening(address: tuple[str, int]) -> Socket:
    """Return a bound socket; gevent's own listener leaks its descriptor where the address is in use."""
    listener = Socket()
    try:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


def _server(listener: Socket, application: Any, most: int, handler: type | None = None) -> WSGIServer:
    """Return a web server that logs nothing; its pool is what lets a stop close idle connections too."""
    return WSGIServer(listener, application, spawn=Pool(most), log=None, error_log=None, handler_class=handler)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise SettingsError(f"{text!r} is no fault: write it like drop=1% or stall=20s")
    return name.strip(), value.strip()
