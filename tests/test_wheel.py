"""The wheel, built and installed elsewhere: everything that a run and its report need is in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.report import build

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loadkit"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built by what the test extra installed: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which that wheel alone is installed."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, timeout=120)
    return folder


def installed(site: Path, *arguments: str) -> str:
    """Return what Python prints, away from this tree and with the installed copy in front of it."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_every_file_and_no_other(wheel: Path) -> None:
    """The package with its templates and scripts, the scenarios inside it, and neither tests nor results."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    scenarios = {f"loadkit/locustfiles/{path.name}" for path in (ROOT / "locustfiles").glob("*.py")}
    assert held == package | scenarios
    assert len(scenarios) >= 2
    assert {name for name in held if name.startswith("loadkit/report/templates/")} > {"loadkit/report/templates/page.html"}


def test_an_installed_copy_lists_the_shipped_scenarios(site: Path) -> None:
    """By name and without a checkout: the copy looks inside itself."""
    assert Path(installed(site, "-c", "import loadkit; print(loadkit.__file__)").strip()).is_relative_to(site)
    listed = re.search(r"shipped scenarios: (.*)", installed(site, "-m", "loadkit", "run", "--help"))
    assert listed is not None
    assert listed[1].split(", ") == sorted(path.stem for path in (ROOT / "locustfiles").glob("*.py"))


def test_an_installed_copy_loads_a_shipped_scenario(site: Path) -> None:
    """Locust finds it by its name alone, and our options with it."""
    help_text = installed(site, "-m", "loadkit", "run", "conversations", "--help")
    assert "--target" in help_text
    assert "--log-deliveries" in help_text


def test_an_installed_copy_makes_the_page(site: Path, tmp_path: Path) -> None:
    """The templates are found where they were installed."""
    folder = build.build(tmp_path, build.SHORT)
    installed(site, "-m", "loadkit", "report", str(folder), "--html", str(tmp_path / "page.html"))
    assert "</html>" in (tmp_path / "page.html").read_text()


def test_the_command_is_on_the_path(site: Path) -> None:
    """`loadkit` itself is installed beside the package."""
    assert installed(site, str(site / "bin" / "loadkit"), "--version").startswith("loadkit ")
