"""One connection of ours against servers that answer well, badly or not at all: each ending has a name, and nothing is sent twice."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from loadkit import clock
from loadkit.chat.http import Connection
from loadkit.errors import TransportError
from tests.chat.server import CLOSE, RESET, SILENCE, Server, Step, answer, chunked
from tests.support import eventually, no_descriptors

CERTIFICATE = Path(__file__).parents[1] / "cable" / "loopback.pem"
OK = answer({"id": 1})
Serve = Callable[..., Server]
Connect = Callable[..., Connection]


def get(connection: Connection) -> bytes:
    return connection.exchange("GET", "/x").body


# Answers.

WHOLE = {
    "with a length": OK,
    "in chunks": chunked(b'{"id"', b": 1}", b""),
    "in chunks with a trailer": chunked(b'{"id": 1}') + b"0\r\nX-Sum: 1\r\n\r\n",
    "after a 100": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_is_read_and_the_connection_kept(content: bytes, serve: Serve, connect: Connect) -> None:
    """Three exchanges need one connection, however the answers are framed."""
    server = serve([content, content, content])
    connection = connect(server.host)
    assert [get(connection) for _ in range(3)] == [b'{"id": 1}'] * 3
    assert (server.accepted, len(server.requests)) == (1, 3)


@pytest.mark.parametrize(
    "content",
    [b'HTTP/1.1 200 OK\r\n\r\n{"id": 1}', b'HTTP/1.0 200 OK\r\n\r\n{"id": 1}'],
    ids=["HTTP/1.1", "HTTP/1.0"],
)
def test_an_answer_that_ends_with_its_connection(content: bytes, serve: Serve, connect: Connect) -> None:
    """It is whole at the end of file, and the next exchange opens anew."""
    server = serve([content, CLOSE], [OK])
    connection = connect(server.host)
    assert [get(connection), get(connection)] == [b'{"id": 1}'] * 2
    assert server.accepted == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body(status: str, serve: Serve, connect: Connect) -> None:
    """Nothing is waited for."""
    server = serve([f"HTTP/1.1 {status}\r\n\r\n".encode(), OK])
    connection = connect(server.host)
    assert [get(connection), get(connection)] == [b"", b'{"id": 1}']
    assert server.accepted == 1


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "401 Unauthorized", "422 Unprocessable", "429 Too Many", "502 Bad Gateway"])
def test_any_status_is_an_answer(status: str, serve: Serve, connect: Connect) -> None:
    """A refusal is data here; redirects are not followed."""
    server = serve([answer(b"<html></html>", status, headers=["Location: /y", "X-Request-Id: r-1"])])
    connection = connect(server.host)
    got = connection.exchange("GET", "/x")
    assert (got.status, got.body, got.request_id) == (int(status[:3]), b"<html></html>", "r-1")
    assert server.lines == ["GET /x"]


def test_a_server_that_says_goodbye_is_left(serve: Serve, connect: Connect) -> None:
    """After `Connection: close` the next exchange opens anew."""
    server = serve([answer({"id": 1}, headers=["Connection: close"])], [OK])
    connection = connect(server.host)
    assert [get(connection), get(connection)] == [b'{"id": 1}'] * 2
    assert server.accepted == 2


# The request.


def test_a_request_goes_out_as_it_was_given(serve: Serve, connect: Connect) -> None:
    """Line, headers and body, byte for byte."""
    server = serve([OK])
    connection = connect(server.host)
    connection.exchange("POST", "/a?b=1", headers={"Api-Access-Token": "t"}, body='{"content":"дом 😀"}'.encode())
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /a?b=1 HTTP/1.1",
        f"Host: {server.host.removeprefix('http://')}",
        "User-Agent: loadkit",
        "Accept: application/json",
        "Api-Access-Token: t",
        "Content-Type: application/json",
        "Content-Length: 25",
    ]
    assert body == '{"content":"дом 😀"}'.encode()


def test_sent_is_stamped_when_nothing_has_left_and_the_connection_is_ours(serve: Serve, connect: Connect) -> None:
    """At the stamp the server has accepted and heard nothing; answered is later."""
    arrived: list[int] = []

    def take(sock: socket.socket) -> None:
        arrived.append(clock.now_us())
        sock.sendall(OK)

    server = serve([take])
    connection = connect(server.host)
    seen: list[tuple[int, int, int]] = []

    def sending(sent_us: int) -> None:
        eventually(lambda: server.accepted == 1)
        seen.append((sent_us, clock.now_us(), len(server.requests)))

    got = connection.exchange("POST", "/x", body=b"{}", sending=sending)
    ((sent_us, called_us, requests),) = seen
    assert requests == 0
    assert sent_us == got.sent_us <= called_us <= arrived[0] <= got.answered_us


# Connections that broke.


def test_an_idle_connection_that_the_server_closed_is_replaced(serve: Serve, connect: Connect) -> None:
    """The request goes out once, on a new connection, without an error."""
    server = serve([OK, CLOSE], [OK])
    connection = connect(server.host)
    get(connection)
    eventually(lambda: server.hung_up == 1)
    assert get(connection) == b'{"id": 1}'
    assert (server.accepted, len(server.requests)) == (2, 2)


def test_an_idle_connection_that_speaks_unasked_is_replaced(serve: Serve, connect: Connect) -> None:
    """A second answer to one request, a 408 say, is not taken for the next request's."""
    go, said = threading.Event(), threading.Event()

    def talk(sock: socket.socket) -> None:
        sock.sendall(OK)
        go.wait(10)
        sock.sendall(answer(b"late", "408 Request Timeout"))
        said.set()

    server = serve([talk], [OK])
    connection = connect(server.host)
    get(connection)
    go.set()
    assert said.wait(10)
    assert get(connection) == b'{"id": 1}'
    assert server.accepted == 2


BROKEN: dict[str, tuple[list[Step], str]] = {
    "closed without a byte": ([SILENCE, CLOSE], "cut"),
    "reset": ([SILENCE, RESET], "cut"),
    "cut after its first line": ([b"HTTP/1.1 200 OK\r\n", CLOSE], "cut"),
    "cut in its head": ([OK[:20], CLOSE], "cut"),
    "cut in its length": ([OK[:34], CLOSE], "cut"),
    "cut in its body": ([OK[:-4], CLOSE], "cut"),
    "cut before its body": ([OK[:-9], CLOSE], "cut"),
    "cut in a chunk": ([chunked(b'{"id": 1}')[:-4], CLOSE], "cut"),
    "cut between chunks": ([chunked(b'{"id": 1}'), CLOSE], "cut"),
    "a chunk without a size": ([chunked() + b"zz\r\n"], "cut"),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n", CLOSE], "cut"),
    "a line without end": ([b"HTTP/1.1 200 " + b"x" * 70_000], "cut"),
    "never answered": ([SILENCE], "timeout"),
    "stopped in its head": ([OK[:20]], "timeout"),
    "stopped in its body": ([OK[:-4]], "timeout"),
    "stopped in a chunk": ([chunked(b'{"id": 1}')], "timeout"),
}


@pytest.mark.parametrize(("steps", "kind"), BROKEN.values(), ids=BROKEN)
def test_no_whole_answer_has_a_name(steps: list[Step], kind: str, serve: Serve, connect: Connect) -> None:
    """One short sentence, no repetition, and the next exchange opens anew."""
    server = serve(steps, [OK])
    connection = connect(server.host, timeout=0.2 if kind == "timeout" else 5)
    with pytest.raises(TransportError, match="got no whole answer") as caught:
        connection.exchange("POST", "/x", headers={"Api-Access-Token": "a-secret"}, body=b'{"content":"a text"}')
    assert caught.value.kind == kind
    assert len(server.requests) == server.accepted == 1
    assert len(str(caught.value)) < 200
    assert "a-secret" not in str(caught.value)
    assert "a text" not in str(caught.value)
    assert get(connection) == b'{"id": 1}'


def test_a_body_past_the_bound_is_no_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    """What is too long is neither kept nor mistaken for the next answer."""
    monkeypatch.setattr("loadkit.chat.http._MOST_BODY", 1000)
    server = serve([answer(b"x" * 1001)], [chunked(b"x" * 600, b"x" * 600, b"")], [OK])
    connection = connect(server.host)
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            get(connection)
        assert caught.value.kind == "cut"
    assert get(connection) == b'{"id": 1}'


class Killed(BaseException):
    """What ends a greenlet is no Exception either."""


@pytest.fixture
def killing() -> Iterator[Callable[[], None]]:
    """What ends the main thread's wait when it is called from another thread."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Killed

    before = signal.signal(signal.SIGUSR1, end)
    yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_an_answer_to_a_killed_request_is_not_taken_for_the_next(serve: Serve, killing: Callable[[], None], connect: Connect) -> None:
    """Killed while it waits, the connection is dropped with the answer that is still to come."""

    def late(sock: socket.socket) -> None:
        killing()
        sock.sendall(answer(b"the old one"))

    server = serve([late], [OK])
    connection = connect(server.host)
    with pytest.raises(Killed):
        get(connection)
    assert get(connection) == b'{"id": 1}'
    assert server.accepted == 2


# Nobody there.


def nobody() -> str:
    """Return a host where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "host", [nobody(), "http://" + "a" * 70, "http://a..b"], ids=["no listener", "a name too long", "a name with a hole"]
)
def test_nobody_there_is_unreachable(host: str, connect: Connect) -> None:
    """Not a byte was sent, and no *sent* was stamped."""
    stamps: list[int] = []
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        connect(host).exchange("POST", "/x", headers={"Api-Access-Token": "a-secret"}, body=b"{}", sending=stamps.append)
    assert caught.value.kind == "unreachable"
    assert stamps == []
    assert "a-secret" not in str(caught.value)


def test_want_of_a_descriptor_is_our_own_shortage(connect: Connect) -> None:
    """It says nothing of the target, which was not even asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with no_descriptors(), pytest.raises(TransportError, match="Too many open files") as caught:
            connection.open()
    assert caught.value.kind == "shortage"


# TLS.


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_tls_is_kept_alive_and_replaced_like_plain_tcp(serve: Serve, tls: ssl.SSLContext, connect: Connect) -> None:
    """Session tickets that wait in an idle connection do not make it look dead; a closed one is replaced."""
    server = serve([OK, OK, CLOSE], [OK], tls=tls)
    connection = connect(server.host, ssl_context=ssl.create_default_context(cafile=str(CERTIFICATE)))
    assert [get(connection), get(connection)] == [b'{"id": 1}'] * 2
    assert server.accepted == 1
    eventually(lambda: server.hung_up == 1)
    assert get(connection) == b'{"id": 1}'
    assert server.accepted == 2


def test_a_certificate_that_is_not_trusted_is_unreachable(serve: Serve, tls: ssl.SSLContext, connect: Connect) -> None:
    """Nothing is sent to a server that cannot prove its name."""
    server = serve([OK], tls=tls)
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        get(connect(server.host))
    assert caught.value.kind == "unreachable"
    assert server.requests == []


def test_a_plain_server_behind_https_is_unreachable(serve: Serve, connect: Connect) -> None:
    """A wrong scheme ends in a sentence."""
    server = serve([CLOSE])
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        get(connect(server.host.replace("http:", "https:"), connect_timeout=5))
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(("cut", "body"), [(OK[:-4], b'{"id"'), (OK[:20], b"")], ids=["in its body", "in its head"])
def test_the_standard_library_takes_a_cut_answer_without_a_word(cut: bytes, body: bytes) -> None:
    """Why what came is looked at again: a bounded read of a cut answer raises nothing."""
    here, there = socket.socketpair()
    there.sendall(cut)
    there.close()
    with http.client.HTTPResponse(here) as response:
        response.begin()
        assert (response.status, response.read(1 << 20)) == (200, body)
    here.close()
