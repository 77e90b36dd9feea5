"""Guards on libraries, each with its reason and a test that shows the behaviour without it.

One whose place has gone in a newer version says so in one line and steps aside.
"""

from __future__ import annotations

import functools
import logging
import resource
import select
import signal
from collections.abc import Callable
from typing import Any

import gevent
from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool
from locust import argument_parser
from locust.contrib.fasthttp import LocustUserAgent
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner

from loadkit.errors import UsageError
from loadkit.swarm.unusable import end_unusable

__all__ = [
    "apply",
    "forget_old_seconds",
    "interrupt_main_alone",
    "keep_alive_past_1023_files",
    "listen_for_workers",
    "raise_open_files",
    "spawn_without_parsing",
    "spell_redirects_both_ways",
]

_log = logging.getLogger("loadkit")
KEPT_S = 60
KEPT_ROWS = 5_000


def apply() -> None:
    """Apply every guard; doing it again changes nothing."""
    keep_alive_past_1023_files()
    spawn_without_parsing()
    spell_redirects_both_ways()
    listen_for_workers()
    raise_open_files()


def _replace(owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Put another function in a function's place, once; a place that is not there any more is left alone, and a line says so."""
    found = getattr(owner, name, None)
    if not callable(found):
        _log.warning("a guard of loadkit's does not fit this version and is left out: %s has no %s", owner.__name__, name)
    elif not getattr(found, "is_loadkits", False):
        changed = change(found)
        changed.is_loadkits = True
        setattr(owner, name, changed)


def keep_alive_past_1023_files() -> None:
    """Let geventhttpclient see whether an idle connection lives by poll().

    Its own check uses select(), which cannot name a descriptor above 1023: it then takes every connection for dead and opens a new one
    for each request, silently.
    """
    _replace(ConnectionPool, "_is_socket_alive", lambda _: _is_socket_alive)


def _is_socket_alive(_: ConnectionPool, sock: Any) -> bool:
    try:
        descriptor = sock.fileno()
        if descriptor < 0:
            return False
        poll = get_original("select", "poll")()
        poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return False


def spawn_without_parsing() -> None:
    """Let a worker build Locust's table of options once, not for every option at each step of a ramp: each stood it still for 0.2 s."""
    _replace(argument_parser, "default_args_dict", functools.lru_cache(maxsize=1))


def spell_redirects_both_ways() -> None:
    """Let Locust 2.43 forbid redirects: it says `redirect_resonse_codes`, which geventhttpclient 2.4 put right.

    The request raises an AttributeError otherwise, and pip puts those two together.
    """
    agent: Any = LocustUserAgent
    if not hasattr(agent, "redirect_resonse_codes"):
        agent.redirect_resonse_codes = property(
            lambda one: one.redirect_response_codes, lambda one, codes: setattr(one, "redirect_response_codes", codes)
        )


def listen_for_workers() -> None:
    """Let a master whose workers are its forks listen on this machine alone, and one that cannot listen say so and end.

    Locust's listens on every address, without a password; else it prints a traceback, then waits five minutes for workers that it forked.
    """
    _replace(MasterRunner, "__init__", _or_unusable)


def _or_unusable(make: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(make)
    def make_or_end(runner: MasterRunner, environment: Environment, master_bind_host: str, master_bind_port: int) -> None:
        if master_bind_host == "*" and getattr(environment.parsed_options, "processes", None):
            master_bind_host = "127.0.0.1"
        try:
            make(runner, environment, master_bind_host, master_bind_port)
        except RPCError as error:
            end_unusable(UsageError(f"cannot listen for workers on {master_bind_host}:{master_bind_port}: {error}"))

    return make_or_end


def interrupt_main_alone() -> None:
    """Let Ctrl-C be raised where Locust waits for it, in the main greenlet.

    Python raises it in whichever greenlet runs: on a busy generator that is a customer or an agent in the middle of a request. A process
    that was started deaf to it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        hub = gevent.get_hub()
        gevent.signal_handler(signal.SIGINT, hub.loop.run_callback, hub.parent.throw, KeyboardInterrupt)


def forget_old_seconds(stats: Any) -> None:
    """Drop what Locust keeps for ever: counts by second, looked at for ten (5 MB a day a row), and charts beyond seven hours."""
    for entry in (stats.total, *stats.entries.values()):
        for counts in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            last = max(counts, default=0)
            for second in [second for second in counts if second < last - KEPT_S]:
                del counts[second]
    del stats.history[:-KEPT_ROWS]


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, since every customer holds two; return the limit. Locust stops at 10,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
