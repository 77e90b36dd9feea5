"""A reader's side of a measurement: counts the events, acknowledges rounds, and takes the CPU time of the measured ones."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.bench.plan import WARM_ROUNDS, Plan, cpu_us


class Pace:
    """Call `event` once an event; `over` is true after the last."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen = self._rounds = 0
        self._began_us = 0.0
        self.took_us = 0.0
        self.over = False

    def event(self) -> None:
        """Count an event, and at the end of a round tell the feeder."""
        self._seen += 1
        if self._seen == self._plan.sockets:
            self._seen = 0
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

    def report(self, **more: Any) -> None:
        """Print the result."""
        sys.stdout.write(json.dumps({"cpu_us": self.took_us / self._plan.measured, **more}))
        sys.stdout.flush()
