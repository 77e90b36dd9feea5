"""A reader's side of a measurement: counts the events, acknowledges rounds, and takes the CPU time of the measured ones."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.bench.plan import WARM_ROUNDS, Plan, cpu_us


class Pace:
    """Tell it what was seen; `over` is true after the last event."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen = self._rounds = 0
        self._began_us = 0.0
        self.took_us = 0.0
        self.over = False

    def event(self) -> None:
        """Count an event, and at the end of a round tell the feeder."""
        self.seen(self._seen + 1)

    def seen(self, events: int) -> None:
        """Take the number of events so far, and at the end of a round tell the feeder."""
        self._seen = events
        if events >= (self._rounds + 1) * self._plan.sockets:
            self._round()

    def _round(self) -> None:
        self._rounds += 1
        if self._rounds == WARM_ROUNDS:
            self._began_us = cpu_us()
        self.over = self._rounds == self._plan.rounds
        if self.over:
            self.took_us = cpu_us() - self._began_us
        self.ready()

    def ready(self) -> None:
        """Tell the feeder to go on."""
        os.write(1, b"\n")

    def report(self, *, later_us: float = 0.0, **more: Any) -> None:
        """Print the result; `later_us` is what each event cost after it had been read."""
        sys.stdout.write(json.dumps({"cpu_us": self.took_us / self._plan.measured + later_us, **more}))
        sys.stdout.flush()
