"""The README tells the truth: its commands and options exist, its scenario is one, its exit codes are ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from loadkit.chat.routes import ROUTES
from loadkit.measure.metrics import CATALOGUE, find
from loadkit.measure.verdict import EXIT_CODES
from loadkit.target import Target
from tests.system.driver import SandboxProcess, run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
VERBS = """
from loadkit.swarm.errands import DEEDS
from loadkit.swarm.users import ContactUser
from loadkit.swarm.verbs import Verbs
print(*[name for kind in (Verbs, ContactUser) for name, value in vars(kind).items() if callable(value) and name[0] != "_"])
print(*DEEDS)
"""
"""Prints them in a process of its own, because Locust patches the one it is imported in."""


def blocks(language: str) -> list[str]:
    """Return the README's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def loadkit(*arguments: str) -> str:
    """Return what a command prints."""
    done = subprocess.run([sys.executable, "-m", "loadkit", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_every_option_of_the_table_is_in_the_help() -> None:
    """`loadkit run SCENARIO --help` knows each option that the README names."""
    table = README[README.index("| option | meaning |") : README.index("Thresholds: ")]
    options = set(re.findall(r"`(--[a-z-]+)", table))
    text = loadkit("run", "conversations", "--help")
    assert len(options) > 15
    assert not {option for option in options if option not in text}


def test_the_options_that_are_variables_are_told_apart() -> None:
    """All of the table have one but its last two rows and Locust's own host."""
    rows = README[README.index("| option | meaning |") : README.index("Thresholds: ")].strip().splitlines()[2:]
    named = [set(re.findall(r"`(--[a-z-]+)", row.split(" | ")[0])) for row in rows]
    code = "import locust; from loadkit.swarm.settings import OPTIONS; print(*[option.variable for option in OPTIONS])"
    variables = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    told = {option for option in set().union(*named) if f"LOADKIT_{option[2:].replace('-', '_').upper()}" in variables}
    assert told == set().union(*named[:-2]) - {"--host"}


def test_the_verbs_are_those_of_customers_and_agents() -> None:
    """Every public method of a customer that is ours is in the table, and what agents do besides is named below it."""
    table, below = README[README.index("| verb |") :].split("\n\n")[:2]
    own, besides = subprocess.run([sys.executable, "-c", VERBS], capture_output=True, text=True, check=True).stdout.splitlines()
    assert set(re.findall(r"`(\w+)`", table)) == set(own.split()) - {"run", "start"}
    assert set(re.findall(r"`(\w+)`", below)) == {*besides.split(), "asks_form", "asks_rating", "thinks"}


def test_the_list_of_metrics_is_the_catalogue() -> None:
    """Every metric with its text, every route with its request, and nothing else; a rate is promised to those that have one."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    tables = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page[page.index("## Latencies") :], re.MULTILINE))
    routes = {route.name: f"`{route.method} {route.template}`" for route in ROUTES}
    families = {name for name in tables if "<" in name}
    assert {name: text for name, text in tables.items() if name not in families} == {name: m.text for name, m in CATALOGUE.items()} | routes
    assert {name: (found.text if (found := find(name.replace("<", "").replace(">", ""))) else None) for name in families} == {
        name: tables[name] for name in families
    }


def test_every_command_is_in_the_help() -> None:
    """The commands in the README's text are commands."""
    named = set(re.findall(r"loadkit (demo|run|report|sandbox|[a-z]+) ", "\n".join(blocks("sh")))) | {"demo", "report", "sandbox"}
    text = loadkit("--help")
    assert not {command for command in named if not re.search(rf"^    {command}\b", text, re.MULTILINE)}


def test_the_exit_codes_are_ours() -> None:
    """The table's codes are those of the verdicts, and 2."""
    table = README[README.index("| exit code |") : README.index("Ctrl-C stops asking")]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes == set(EXIT_CODES.values()) - {EXIT_CODES["regressed"]} | {2}


def test_the_target_file_is_one(tmp_path: Path) -> None:
    """The README's TOML is read as it stands, once only its owner can read it."""
    path = tmp_path / "target.toml"
    path.write_text(blocks("toml")[0])
    path.chmod(0o600)
    assert Target.read(path).host == "https://chat.example.com"


@pytest.mark.parametrize("block", blocks("python"))
def test_the_scenario_runs(block: str, tmp_path: Path) -> None:
    """The README's scenario is a scenario: it talks, and its replies are measured."""
    scenario = tmp_path / "mine.py"
    scenario.write_text(block)
    box = SandboxProcess(tmp_path, "--service", "none")
    try:
        done = run(tmp_path / "reports", str(scenario), "--target", str(box.target), "-u", "10", "-r", "10", "-t", "8s", "--quiet")
    finally:
        box.stop()
    assert done.summary["replies"]["on_time"] > 0
    assert done.code in (0, 3), done.err
    assert {"text": "reply.misrouted count == 0", "passed": True, "value": 0, "unit": ""} in done.summary["thresholds"]


def test_the_make_targets_exist() -> None:
    """`make demo` and `make test` are rules of the Makefile."""
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word.split()[1] for word in blocks("sh") if word.startswith("make ")} <= set(rules)
