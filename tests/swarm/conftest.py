"""Importing Locust patches the process: what does so is collected only in a process of its own, which `test_patched.py` starts."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("LOADKIT_PATCHED") else ["patched"]
