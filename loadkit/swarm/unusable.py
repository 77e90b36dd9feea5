"""How a process ends that has forked workers and never got to a run: they look for their master for five minutes."""

from __future__ import annotations

import sys
from typing import NoReturn

import psutil

from loadkit.errors import UsageError

__all__ = ["end_forked", "end_unusable"]


def end_forked() -> None:
    """End the workers that this process has forked."""
    for child in psutil.Process().children():
        child.terminate()


def end_unusable(error: UsageError) -> NoReturn:
    """Say in a sentence why nothing can be run with what was given, and end with the contract's exit code."""
    print(f"loadkit: {error}", file=sys.stderr, flush=True)
    end_forked()
    raise SystemExit(error.exit_code) from None
