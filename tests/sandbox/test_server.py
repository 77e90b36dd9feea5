"""`Sandbox` as an object: what it names, how it starts and stops, and its control API."""

from __future__ import annotations

import socket
import stat
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadkit.errors import SettingsError
from loadkit.sandbox import Sandbox
from tests.sandbox.client import Customer, ask, reply
from tests.sandbox.conftest import Make


def test_it_stops_cleanly_and_leaves_no_thread() -> None:
    """Start and stop twice over, with a socket and a kept-alive connection open: the threads are those from before."""
    before = set(threading.enumerate())
    for _ in range(2):
        with Sandbox(service="none") as sandbox:
            customer = Customer(sandbox)
            idle = socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port), timeout=10)
            idle.sendall(b"GET /api HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        while idle.recv(4096):
            pass  # the rest of the answer, then the end
        idle.close()
        assert customer.wire
        customer.wire.close()
    assert set(threading.enumerate()) - before == set()


def test_starting_and_stopping_again_change_nothing(make: Make) -> None:
    """A started sandbox is started, a stopped one stopped."""
    sandbox = make()
    url = sandbox.url
    assert sandbox.start().url == url
    sandbox.stop()
    sandbox.stop()


def test_several_run_side_by_side(make: Make, tmp_path: Path) -> None:
    """Each has its own ports, rows and truth."""
    one, two = make(seed=1, truth=None), make(seed=2, truth=None)
    assert one.url != two.url
    Customer(one, connected=False)
    assert ask(two.control, "GET", "/state").json()["contacts"] == 0


def test_a_port_in_use_is_told_by_start() -> None:
    """What hinders the start is raised where the sandbox is started, and no thread stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Sandbox(port=taken.getsockname()[1]).start()
    assert not [thread for thread in threading.enumerate() if thread.name == "loadkit-sandbox"]


@pytest.mark.parametrize("mandatory", [False, True])
def test_the_target_file_names_what_a_client_needs(make: Make, tmp_path: Path, mandatory: bool) -> None:
    """Host, account, inbox and secrets in TOML, readable by its owner alone even where a wider file was before."""
    path = tmp_path / "target.toml"
    path.write_text("old")
    path.chmod(0o644)
    sandbox = make(hmac_mandatory=mandatory, agents=2)
    sandbox.write_target(path)
    target = tomllib.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert target["host"] == sandbox.url
    assert target["account"] == 1
    assert target["inbox"] == (sandbox.hmac_inbox if mandatory else sandbox.inbox)
    assert ("hmac_token" in target) == mandatory
    assert [ask(sandbox.url, "GET", "/api/v1/profile", headers={"Api-Access-Token": t}).json()["id"] for t in target["agent_tokens"]] == [
        2,
        3,
    ]


@pytest.mark.parametrize("options", [{"faults": ["drop"]}, {"faults": ["drop="]}, {"faults": ["x=1"]}, {"http_threads": 0}, {"jobs": 0}])
def test_bad_options_are_told_before_anything_runs(options: dict[str, Any]) -> None:
    """One sentence as a SettingsError."""
    with pytest.raises(SettingsError):
        Sandbox(**options)


def test_the_state_counts_everything(sandbox: Sandbox, customer: Customer) -> None:
    """Sockets, subscriptions, rows, replies and requests."""
    customer.says("hi")
    reply(sandbox, customer, "m1")
    reply(sandbox, customer, "m2", private=True)
    assert ask(sandbox.control, "GET", "/state").json() == {
        "sockets": 1,
        "subscriptions": 1,
        "contacts": 1,
        "conversations": 1,
        "messages": 3,
        "replies": {"total": 1, "by_fault": {}},
        "requests": 6,
        "touched": {},
    }


def test_faults_are_seen_and_switched_over_http(sandbox: Sandbox) -> None:
    """What is set is shown as it was written; named ones are replaced, the others stay."""
    assert ask(sandbox.control, "GET", "/faults").json() == {}
    first = ask(sandbox.control, "PUT", "/faults", {"drop": "1%", "deaf": True})
    assert first.json() == {"drop": "1%", "deaf": "on"}
    second = ask(sandbox.control, "PUT", "/faults", {"deaf": "off", "delay": "20of2000:5s"})
    assert second.json() == ask(sandbox.control, "GET", "/faults").json() == {"drop": "1%", "delay": "20of2000:5s"}


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"drop": 5}', b'{"drop": "lots"}', b'{"nothing": "1%"}', b"\xff"])
def test_faults_that_cannot_be_set_are_a_400(sandbox: Sandbox, raw: bytes) -> None:
    """With one sentence, and nothing is changed."""
    answer = ask(sandbox.control, "PUT", "/faults", raw=raw)
    assert answer.status == 400
    assert list(answer.json()) == ["error"]
    assert ask(sandbox.control, "GET", "/faults").json() == {}
    assert ask(sandbox.control, "POST", "/faults").status == 404


def test_importing_the_room_patches_nothing() -> None:
    """Sockets stay the blocking ones of the standard library."""
    assert "gevent" in sys.modules
    assert socket.socket.__module__ == "socket"
