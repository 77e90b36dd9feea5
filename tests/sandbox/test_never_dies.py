"""Whatever is sent, the sandbox answers by the rules or with silence, prints nothing, and goes on serving."""

from __future__ import annotations

import socket
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import websocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadkit.cable import frames
from loadkit.chat.routes import ROUTES
from loadkit.sandbox import Sandbox
from tests.sandbox.client import JSON, Customer, ask

KNOWN = {200, 304, 400, 401, 404, 422, 500}
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))
NAMES = st.sampled_from(
    [
        *("source_id", "identifier", "identifier_hash", "name", "email", "phone_number", "custom_attributes", "content"),
        *("echo_id", "attachments", "submitted_values", "message_type", "private", "content_type", "content_attributes"),
        *("before", "after", "page", "status", "typing_status", "is_private", "assignee_id"),
        *("room_id", "message_id", "message"),
    ]
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=5)
TAILS = ["", "/toggle_status", "/toggle_typing", "/update_last_seen", "/assignments", "/toggle_typing_status", "/messages/1"]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Sandbox, Customer]]:
    with Sandbox(service="none") as sandbox:
        yield sandbox, Customer(sandbox, connected=False)


@pytest.fixture(autouse=True)
def quiet(served: tuple[Sandbox, Customer], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing was printed or logged, and the server still serves."""
    yield
    sandbox, _ = served
    assert ask(sandbox.url, "GET", "/api").status == 200
    assert Customer(sandbox, connected=False).says("still here").status == 200
    assert capfd.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records if record.name.startswith("loadkit")] == []


@FEW
@given(body=BODIES, where=st.sampled_from(ROUTES), tail=st.sampled_from(TAILS), method=st.sampled_from(["GET", "POST", "PATCH"]))
def test_any_parameters_on_any_route(served: tuple[Sandbox, Customer], body: Any, where: Any, tail: str, method: str) -> None:
    """Known routes with values of the wrong type are answered by the rules, never with the 500 of a bug."""
    sandbox, customer = served
    uuid = sandbox.store.conversations[customer.conversation].uuid
    fills = {"inbox": sandbox.inbox, "source_id": customer.contact["source_id"], "conversation": customer.conversation, "account": 1}
    fills |= {"message": 1, "uuid": uuid}
    path = where.path(**{key: value for key, value in fills.items() if "{" + key + "}" in where.template})
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
    answer = ask(sandbox.url, method, path + tail, body, headers=headers)
    assert answer.status in KNOWN
    assert "x-request-id" in answer.headers


@FEW
@given(
    raw=st.binary(max_size=200),
    kind=st.sampled_from([JSON, "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data", "text/x"]),
    prefix=st.sampled_from([b"", b'--b\r\nContent-Disposition: form-data; name="content"\r\n\r\n', b"a[b][c]=1&a=", b'{"a":']),
)
def test_any_body_of_any_type(served: tuple[Sandbox, Customer], raw: bytes, kind: str, prefix: bytes) -> None:
    """A body that cannot be read is a 400, one that can is a message."""
    sandbox, customer = served
    answer = ask(sandbox.url, "POST", customer.messages, raw=prefix + raw, content_type=kind)
    assert answer.status in (200, 400, 422, 500)


@FEW
@given(path=st.text(string.printable.strip(), max_size=60), query=st.text(string.ascii_letters + "%&=[]0", max_size=40))
def test_any_path(served: tuple[Sandbox, Customer], path: str, query: str) -> None:
    """Paths and queries of any characters have an answer."""
    sandbox, customer = served
    for base in ("/", "/public/api/v1/", "/api/v1/", customer.path + "/"):
        for name in (quote(path), path.replace("#", "").replace("?", "")):
            assert ask(sandbox.url, "GET", f"{base}{name}?{query}").status in KNOWN | {414}


@FEW
@given(raw=st.binary(min_size=1, max_size=300))
def test_any_bytes_instead_of_http(served: tuple[Sandbox, Customer], raw: bytes) -> None:
    """What is no HTTP is refused or dropped."""
    sandbox, _ = served
    for sent in (
        raw + b"\r\n\r\n",
        b"GET /api HTTP/1.1\r\n" + raw + b"\r\n\r\n",
        b"POST /cable HTTP/1.1\r\nContent-Length: 5\r\n\r\n" + raw,
    ):
        with socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port), timeout=10) as tcp:
            tcp.sendall(sent)
            tcp.shutdown(socket.SHUT_WR)
            try:
                while tcp.recv(65536):
                    pass
            except ConnectionResetError:
                continue


@FEW
@given(
    said=st.lists(
        st.binary(max_size=60)
        | st.builds(lambda v: str(v).encode(), VALUES)
        | st.builds(lambda i: frames.subscribe(i).encode(), st.text(max_size=30))
        | st.builds(lambda i, a: frames.perform(i, a).encode(), st.text(max_size=30), st.text(max_size=10)),
        max_size=6,
    ),
    opcode=st.sampled_from([websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY]),
)
def test_any_messages_on_a_cable(served: tuple[Sandbox, Customer], said: list[bytes], opcode: int) -> None:
    """Messages that mean nothing are met with silence: the socket still confirms a good subscription, or was closed for bad UTF-8."""
    sandbox, customer = served
    wire = websocket.create_connection(sandbox.url.replace("http", "ws") + "/cable", timeout=10)
    try:
        for message in said:
            wire.send(message, opcode=opcode)
        wire.send(frames.subscribe(frames.room_identifier(customer.contact["pubsub_token"])))
        kinds = []
        while "confirm_subscription" not in kinds[1:]:
            code, data = wire.recv_data(control_frame=True)
            if code == websocket.ABNF.OPCODE_CLOSE:
                assert data[:2] == b"\x03\xef"
                assert not all(_is_text(message) for message in said)
                return
            kinds += [word for word in ("welcome", "confirm_subscription") if word.encode() in data]
        assert kinds == ["welcome", "confirm_subscription"]
    except (BrokenPipeError, ConnectionResetError):
        assert not all(_is_text(message) for message in said)
    finally:
        wire.shutdown()


@FEW
@given(raw=st.binary(min_size=1, max_size=200))
def test_any_bytes_on_a_cable(served: tuple[Sandbox, Customer], raw: bytes) -> None:
    """Bytes that are no frames end their own socket at most."""
    sandbox, _ = served
    wire = websocket.create_connection(sandbox.url.replace("http", "ws") + "/cable", timeout=10)
    wire.sock.sendall(raw)
    wire.sock.shutdown(socket.SHUT_WR)
    try:
        while wire.sock.recv(65536):
            pass
    except ConnectionResetError:
        return
    finally:
        wire.shutdown()


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"content":' + b"9" * 5000 + b"}", b'{"content":"\\ud800"}', b"\xff", b'{"custom_attributes":{"a":1e999}}']
)
def test_json_that_breaks_parsers(served: tuple[Sandbox, Customer], body: bytes) -> None:
    """Deep nesting, endless numbers, lone surrogates: 400, or taken."""
    sandbox, customer = served
    assert ask(sandbox.url, "POST", customer.messages, raw=body).status in (200, 400)


def _is_text(message: bytes) -> bool:
    try:
        return message.decode() is not None
    except UnicodeDecodeError:
        return False
