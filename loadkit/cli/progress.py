"""What a person sees while a run lasts, and at its end: one moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from loadkit import units

__all__ = ["Progress"]

EVERY = 5.0


class Progress:
    """Shows progress messages on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._shown = -EVERY
        self._open = False

    def show(self, message: dict[str, Any]) -> None:
        """Show a message: every one on a terminal, one in five seconds elsewhere."""
        elapsed = float(message["elapsed"])
        if self._quiet or (not self._terminal and elapsed - self._shown < EVERY):
            return
        self._shown = elapsed
        text = self._line(message)
        if self._terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80  # a line that wraps could not be taken back
            print(f"\r\x1b[2K{text[: width - 1]}", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            print(text, file=sys.stderr, flush=True)

    @staticmethod
    def _line(message: dict[str, Any]) -> str:
        p50, p99 = (None if message[key] is None else message[key] / 1e3 for key in ("p50_ms", "p99_ms"))
        state = "draining" if message["stopping"] else "running"
        return (
            f"{units.seconds_text(message['elapsed'])} {state} | {message['customers']} customers | sockets {message['open']} of "
            f"{message['wanted']} | {message['replies']} replies | response p50 {units.seconds_text(p50)} p99 {units.seconds_text(p99)} | "
            f"{message['lost']} lost"
        )

    def note(self, text: str) -> None:
        """Say something that stays."""
        if not self._quiet:
            self.close()
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the moving line standing."""
        if self._open:
            print(file=sys.stderr)
            self._open = False

    @staticmethod
    def closing(summary: dict[str, Any], folder: Path) -> str:
        """Return the closing summary of a run."""
        from loadkit.report.sentences import untimed

        replies, response = summary["replies"], summary["metrics"]["reply.response"]
        delivery = summary["metrics"]["reply.delivery"]
        seconds = summary["run"]["seconds"]
        rate = f", {replies['attempted'] / seconds:.3g} a second" if seconds else ""
        lines = [
            f"verdict: {summary['verdict']} (exit code {summary['exit_code']}), measurement {summary['validity']['state']}",
            *(f"  {reason['text']}" for reason in summary["validity"]["reasons"]),
            f"replies: {replies['attempted']} attempted = {replies['accepted']} accepted + {replies['refused']} refused; accepted = "
            f"{replies['on_time']} on time + {replies['late']} late + {replies['recovered']} recovered + {replies['lost']} lost + "
            f"{replies['undetermined']} undetermined{rate}",
            "response (from due):  " + _percentiles(response),
            "delivery (from sent): " + _percentiles(delivery),
            *([f"  {left_out}"] if (left_out := untimed(summary)) else []),
        ]
        for threshold in summary["thresholds"]:
            lines.append(f"  {'ok  ' if threshold['passed'] else 'FAIL'} {threshold['text']}  ({_value(threshold)})")
        lines.append(f"report: {folder / 'report.html'}")
        return "\n".join(lines)


def _percentiles(metric: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_ms(metric[name])}" for name in ("p50", "p95", "p99", "max"))


def _ms(value: float | None) -> str:
    return units.seconds_text(None if value is None else value / 1e3)


def _value(threshold: dict[str, Any]) -> str:
    value = threshold["value"]
    if value is None:
        return "no data"
    if threshold["unit"] == "ms":
        return _ms(value)
    return units.share_text(value) if threshold["unit"] == "share" else f"{value:g}"
