"""How a process ends that never got to a run: for what was given, with its forked workers, who look for it for five minutes."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import psutil

from loadkit.errors import SettingsError, UsageError

__all__ = ["end_forked", "end_unusable", "expect_install", "is_installed"]


def is_installed(events: Any) -> bool:
    """Whether a scenario has called `install` with these events of Locust's."""
    return any(getattr(listener, "__module__", "") == "loadkit.swarm.install" for listener in events.init_command_line_parser._handlers)


def expect_install(events: Any) -> None:
    """Refuse a scenario that is none of loadkit's before Locust reads the options that only `install` adds, or sends any load."""

    def check(parser: Any, **_: Any) -> None:
        parser.prog = "loadkit run"  # what it says of an option is said to who called that
        if not is_installed(events):
            end_unusable(SettingsError("the scenario must call loadkit.swarm.install(events), at its end"))

    events.init_command_line_parser.add_listener(check)


def end_forked() -> None:
    """End the workers that this process has forked."""
    for child in psutil.Process().children():
        child.terminate()


def end_unusable(error: UsageError) -> NoReturn:
    """Say in a sentence why nothing can be run with what was given, and end with the contract's exit code."""
    print(f"loadkit: {error}", file=sys.stderr, flush=True)
    end_forked()
    raise SystemExit(error.exit_code) from None
