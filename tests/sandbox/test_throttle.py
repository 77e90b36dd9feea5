"""The throttle: who is counted, what is counted, and that it is off unless asked for."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from loadkit.errors import SettingsError
from loadkit.sandbox import Sandbox
from loadkit.sandbox.throttle import Throttle, client_of
from tests.sandbox.client import Customer, agent_path, ask, truth, within_a_window
from tests.sandbox.conftest import Make


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "", "127.0.0.1"),
        ("8.8.8.8", "9.9.9.9", "8.8.8.8"),
        ("10.0.0.1", "1.1.1.1, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
        ("10.0.0.1", "10.0.0.3, 192.168.0.1", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "nonsense"),
        ("", "9.9.9.9", ""),
    ],
)
def test_a_client_is_whom_a_proxy_speaks_for(peer: str, forwarded: str, client: str) -> None:
    """The last public address in the header of a private peer, else the peer itself."""
    assert client_of(peer, forwarded) == client


def test_loopback_is_safe_in_the_present_release_alone() -> None:
    """The older one counts everybody."""
    for safe, refused in ((True, False), (False, True)):
        throttle = Throttle(1, safe=safe)
        within_a_window()
        throttle.refuses({"REMOTE_ADDR": "::1"})
        assert throttle.refuses({"REMOTE_ADDR": "::1"}) == refused
    assert not Throttle(None).refuses({"REMOTE_ADDR": "8.8.8.8"})
    with pytest.raises(SettingsError):
        Throttle(0)


def test_handshakes_count_and_are_refused(make: Make) -> None:
    """A cable's handshake beyond the limit is a plain 429, and no reply is lost from the truth."""
    sandbox = make(throttle=2)
    customer = Customer(sandbox, connected=False)
    within_a_window()
    for _ in range(2):
        assert ask(sandbox.url, "GET", "/api", source="127.0.0.2").status == 200
    assert _handshake(sandbox).startswith(b"HTTP/1.1 429 ")
    body, headers = {"content": "x", "echo_id": "m"}, {"Api-Access-Token": sandbox.agent_tokens[0]}
    assert ask(sandbox.url, "POST", agent_path(customer), body, headers=headers, source="127.0.0.2").status == 429
    row = truth(sandbox, 1)[0]
    assert (row["marker"], row["status"], row["saved"], row["written"]) == ("m", 429, None, [])


def test_searches_for_contacts_are_counted_by_account(make: Make) -> None:
    """The 101st within a minute is refused whoever asks; other requests, and searches from loopback, are not."""
    sandbox = make(throttle=3000)
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
    search = "/api/v1/accounts/1/contacts/search?q=x"
    within_a_window()
    sources = [f"127.0.0.{2 + number % 2}" for number in range(101)]
    statuses = [ask(sandbox.url, "GET", search, headers=headers, source=source).status for source in sources]
    assert statuses == [200] * 100 + [429]
    assert ask(sandbox.url, "GET", search, headers=headers).status == 200
    assert ask(sandbox.url, "GET", "/api/v1/accounts/1/contacts", headers=headers, source="127.0.0.2").status == 200


def _handshake(sandbox: Sandbox) -> bytes:
    head = "GET /cable HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    address = ("127.0.0.1", urlsplit(sandbox.url).port)
    with socket.create_connection(address, timeout=10, source_address=("127.0.0.2", 0)) as tcp:
        tcp.sendall(head.encode())
        return tcp.recv(4096)
