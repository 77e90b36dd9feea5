"""`python -m tests.system.ahead MS sandbox …`: loadkit in a process whose wall clock is so many milliseconds ahead of the machine's."""

import sys
import time

from loadkit import clock
from loadkit.cli.main import main

ahead_ns = int(sys.argv.pop(1)) * 1_000_000
clock._time_ns = lambda: time.time_ns() + ahead_ns  # type: ignore[attr-defined]
sys.exit(main())
