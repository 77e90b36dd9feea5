"""What the conformance tests run that is not Python: whether it is here, how it is got, and what is said where it cannot be had.

`python -m tests.conformance.parts` installs what is missing with apt-get where that may be done, and else prints a line a part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

ALL = "LOADKIT_TEST_ALL"
"""Set where nothing may be left out, as in CI: what cannot be had is a failure there."""
RAILS = "6.1"
"""Debian 12's; later ones come back from a restart of Redis, which OneHash Chat's does not."""
_VERSION = 'require "action_controller/railtie"; require "action_cable/engine"; require "redis"; print ActionCable.version'


def lacks_rails() -> str | None:
    """Return what is missing for Rails' Action Cable, None if it can run."""
    if missing := _missing("ruby", "puma", "redis-check-rdb", "setpriv"):
        return missing
    version = _said("ruby", "-e", _VERSION)
    return None if version.startswith(RAILS) else f"Action Cable {RAILS} with redis-rb, found {version or 'none'}"


@dataclass(frozen=True)
class Part:
    """Something to be had from Debian's packages; `candidate` is what the version of the first must begin with."""

    name: str
    lacks: Callable[[], str | None]
    packages: tuple[str, ...]
    candidate: str = ""

    def here(self) -> None:
        """Return if it is here; else skip the test, or fail it where nothing may be left out."""
        if why := self.lacks():
            if os.environ.get(ALL):
                pytest.fail(f"{self.name}: missing {why}, and {ALL} is set")
            pytest.skip(f"{self.name}: missing {why}")

    def get(self) -> str | None:
        """Install it if it is missing and may be installed; returns what is missing then."""
        if self.lacks() and shutil.which("apt-get") and os.geteuid() == 0:
            _run("apt-get", "update", "-qq")
            if self._offered():
                _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *self.packages)
        return self.lacks()

    def _offered(self) -> bool:
        lines = _said("apt-cache", "policy", self.packages[0]).splitlines()
        versions = [line.split()[-1].rpartition(":")[2] for line in lines if "Candidate:" in line]
        return bool(versions) and versions[0] != "(none)" and versions[0].startswith(self.candidate)


# Redis itself is in redis-tools; the package redis-server would add a service.
PARTS = (Part("Rails", lacks_rails, ("ruby-actioncable", "ruby-railties", "ruby-redis", "puma", "redis-tools"), RAILS),)
(rails,) = PARTS


def _missing(*programs: str) -> str | None:
    return ", ".join(program for program in programs if shutil.which(program) is None) or None


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def _run(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)


def main() -> int:
    """Get every part; returns 1 where one is missing that must not be."""
    left_out = [(part, why) for part in PARTS if (why := part.get())]
    for part, why in left_out:
        print(f"left out of the tests: what needs {part.name} (missing {why}; Debian 12: {' '.join(part.packages)})")
    return 1 if left_out and os.environ.get(ALL) else 0


if __name__ == "__main__":
    sys.exit(main())
