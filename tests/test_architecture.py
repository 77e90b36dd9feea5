"""The house rules that a machine can hold: who reads a clock, who imports whom, what a module shows, how large it gets."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "loadkit"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns"}
    | {"thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns", "localtime", "gmtime", "ctime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
LONGEST_MODULE, LONGEST_FUNCTION = 350, 60


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def clock_reads(path: Path) -> list[str]:
    """Return where a module reads a clock, whatever it calls the module that has it."""
    called, found = {"time": "time", "datetime": "datetime", "date": "date"}, []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            called |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name in CLOCKS}
        elif isinstance(node, ast.ImportFrom) and node.module in CLOCKS:
            found += [f"line {node.lineno}: {node.module}.{a.name}" for a in node.names if a.name in CLOCKS[node.module]]
            called |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in CLOCKS}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in CLOCKS.get(called.get(owner, ""), ()):
                found.append(f"line {node.lineno}: {owner}.{node.attr}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_one_module_reads_a_clock(path: Path) -> None:
    """Every stamp of a process comes from one clock."""
    reads = clock_reads(path)
    assert bool(reads) == (path == PACKAGE / "clock.py"), reads


def test_the_scan_for_clocks_sees_them(tmp_path: Path) -> None:
    """Under any of the names by which people reach a clock."""
    for number, source in enumerate(
        [
            "import time\ntime.time()",
            "import time as t\nread = t.monotonic_ns",
            "from time import perf_counter",
            "from datetime import datetime\ndatetime.now()",
            "import datetime\ndatetime.datetime.utcnow()",
            "import datetime as dt\ndt.date.today()",
            "from datetime import datetime as moment\nmoment.today()",
        ]
    ):
        path = tmp_path / f"reads_{number}.py"
        path.write_text(source)
        assert clock_reads(path), source
    (tmp_path / "none.py").write_text("from datetime import UTC, datetime\nfrom time import sleep\ndatetime.fromtimestamp(5, UTC)\nx.now()")
    assert clock_reads(tmp_path / "none.py") == []


def test_the_front_door_is_light() -> None:
    """`import loadkit` in a fresh process loads nothing heavy."""
    heavy = "gevent locust pandas plotly numpy faker requests hdrh jinja2 websocket"
    code = f"import sys, loadkit; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_help_is_light() -> None:
    """`loadkit --help` starts neither Locust nor pandas."""
    code = "import sys, loadkit.cli.main; print([name for name in ('gevent', 'locust', 'pandas', 'plotly') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_no_module_is_a_drawer() -> None:
    """A module is called by what it is."""
    drawers = {"common", "utils", "util", "helpers", "helper", "misc", "shared"}
    assert [name for path, name in zip(MODULES, NAMES, strict=True) if path.stem in drawers or path.parent.name in drawers] == []


def bound(path: Path) -> set[str]:
    """Return the names that a module defines or imports at its top level."""
    names: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return names


def face(path: Path) -> set[str] | None:
    """Return what a module's `__all__` lists; None without one."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            return set(ast.literal_eval(node.value))
    return None


def public(path: Path) -> set[str]:
    """Return the public functions and classes that a module defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in tree(path).body if isinstance(node, kinds) and not node.name.startswith("_")}


@cache
def used_elsewhere() -> dict[str, set[str]]:
    """Return the names of each module that other modules of the package import from it or reach through it."""
    known, used = {dotted(path) for path in MODULES}, {}
    for path in MODULES:
        modules: dict[str, str] = {}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                modules |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in known}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    if whole in known:
                        modules[alias.asname or alias.name] = whole
                    elif node.module in known:
                        used.setdefault(node.module, set()).add(alias.name)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                used.setdefault(modules[node.value.id], set()).add(node.attr)
    return used


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_all_is_the_face_and_true(path: Path) -> None:
    """Every listed name exists, and what others use is listed."""
    listed, defined = face(path), public(path)
    if listed is None:
        assert not defined, f"no __all__, but {sorted(defined)}"
        return
    assert listed <= bound(path), f"listed and not there: {sorted(listed - bound(path))}"
    used = {name for name in used_elsewhere().get(dotted(path), set()) if not name.startswith("__")}
    assert used & bound(path) <= listed, f"used elsewhere and not listed: {sorted((used & bound(path)) - listed)}"


def docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_modules_and_functions_stay_small(path: Path) -> None:
    """A module says what it is; a long one says why it is long, and no function is longer than a screen."""
    lines, words = len(path.read_text(encoding="utf-8").splitlines()), docstring(tree(path))
    assert words or not tree(path).body, "no docstring"
    reason = any(word in words for word in ("long", "large", "one module", "in one place", "because"))
    assert lines <= LONGEST_MODULE or reason, f"{lines} lines and no reason for it"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_module_holds_mutable_state(path: Path) -> None:
    """A dictionary or list at the top level is a constant: nothing rebinds it or adds to it."""
    constants = {
        target.id
        for node in tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Set)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    changing = {"append", "add", "update", "extend", "insert", "pop", "popitem", "setdefault", "remove", "discard", "clear"}
    changed = [
        f"line {node.lineno}: {node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changing
        if isinstance(node.func.value, ast.Name) and node.func.value.id in constants
    ]
    globals_ = [f"line {node.lineno}: global" for node in ast.walk(tree(path)) if isinstance(node, ast.Global)]
    assert changed + globals_ == []


def test_the_floors_hold() -> None:
    """Who may import whom is a contract in pyproject.toml."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
