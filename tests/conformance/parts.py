"""What the conformance tests run that is not Python: whether it is here, how it is got, and what is said where it cannot be had.

`python -m tests.conformance.parts` gets what is missing, with apt-get where that may be done, and else prints a line a part.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ALL = "LOADKIT_TEST_ALL"
"""Set where nothing may be left out, as in CI: what cannot be had is a failure there."""
JS = Path(__file__).with_name("js")
# Debian 12's Rails; later ones come back from a restart of Redis, which OneHash Chat's does not.
RAILS = "6.1"
# Redis itself is in redis-tools; the package redis-server would add a service.
RAILS_PACKAGES = ("ruby-actioncable", "ruby-railties", "ruby-redis", "puma", "redis-tools")
NODE_PACKAGES = ("nodejs", "npm")
_RAILS_VERSION = 'require "action_controller/railtie"; require "action_cable/engine"; require "redis"; print ActionCable.version'


@dataclass(frozen=True)
class Part:
    """Something that tests need: `lacks` says what is missing, None if nothing is; `get` tries to get that."""

    name: str
    lacks: Callable[[], str | None]
    get: Callable[[], None]
    packages: tuple[str, ...]

    def here(self) -> None:
        """Return if it is here; else skip the test, or fail it where nothing may be left out."""
        if why := self.lacks():
            if os.environ.get(ALL):
                pytest.fail(f"{self.name}: missing {why}, and {ALL} is set")
            pytest.skip(f"{self.name}: missing {why}")


def _lacks_rails() -> str | None:
    if missing := _missing("ruby", "puma", "redis-check-rdb", "setpriv"):
        return missing
    version = _said("ruby", "-e", _RAILS_VERSION)
    return None if version.startswith(RAILS) else f"Action Cable {RAILS} with redis-rb, found {version or 'none'}"


def _get_rails() -> None:
    if _may_install() and _candidate(RAILS_PACKAGES[0]).startswith(RAILS):
        _install(*RAILS_PACKAGES)


def _lacks_clients() -> str | None:
    if missing := _missing("node", "npm"):
        return missing
    wanted, found = (_versions(path) for path in (JS / "package-lock.json", JS / "node_modules" / ".package-lock.json"))
    return None if wanted == found else "the packages of package-lock.json"


def _get_clients() -> None:
    if _missing("node", "npm") and _may_install():
        _install(*NODE_PACKAGES)
    if not _missing("node", "npm"):
        _run("npm", "ci", "--prefix", str(JS), "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")


def _versions(lock: Path) -> dict[str, str]:
    """Return the version of each package of a lock file, none where there is no such file."""
    packages = json.loads(lock.read_text())["packages"] if lock.exists() else {}
    return {name: package["version"] for name, package in packages.items() if name}


rails = Part("Rails", _lacks_rails, _get_rails, RAILS_PACKAGES)
clients = Part("the stock JavaScript clients", _lacks_clients, _get_clients, NODE_PACKAGES)


def _missing(*programs: str) -> str | None:
    return ", ".join(program for program in programs if shutil.which(program) is None) or None


def _may_install() -> bool:
    """Whether there are Debian's packages and the right to install them, with the newest lists; nobody is asked for a password."""
    return bool(shutil.which("apt-get")) and os.geteuid() == 0 and _run("apt-get", "update", "-qq")


def _candidate(package: str) -> str:
    """Return the version that would be installed, its epoch left out; empty where there is none."""
    lines = _said("apt-cache", "policy", package).splitlines()
    return next((line.split()[-1].rpartition(":")[2] for line in lines if "Candidate:" in line), "")


def _install(*packages: str) -> None:
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def _run(*command: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode == 0


def main() -> int:
    """Get every part; returns 1 where one is missing that must not be."""
    left_out = []
    for part in (rails, clients):
        if part.lacks():
            part.get()
        if why := part.lacks():
            left_out.append(part)
            print(f"left out of the tests: what needs {part.name} (missing {why}; Debian 12: {' '.join(part.packages)})")
    return 1 if left_out and os.environ.get(ALL) else 0


if __name__ == "__main__":
    sys.exit(main())
