"""The traps of websocket-client, each shown, and each fenced by our handshake."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import websocket
from websocket._handshake import CookieJar

from loadkit.cable.handshake import Endpoint, reach, upgrade
from loadkit.errors import AnswerError, RemoteProtocolError, SettingsError, TransportError
from tests.cable.peer import WELCOME, Conn, Peer, frame
from tests.support import no_descriptors

Peers = Callable[..., Peer]
OFFERED = ["actioncable-v1-json", "actioncable-unsupported"]


def upgraded(peer: Peer, **options: object) -> socket.socket:
    """Return a socket that our handshake made a websocket of, with plain blocking sockets."""
    endpoint = Endpoint.of(peer.url)
    sock, _ = reach(endpoint, socket)
    sock.settimeout(5)
    upgrade(sock, endpoint, **options)  # type: ignore[arg-type]
    return sock


def welcoming(extra: str = "", subprotocol: str | None = "actioncable-v1-json") -> Callable[[Conn], None]:
    def script(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade(extra=extra, subprotocol=subprotocol, glued=frame(WELCOME))
        conn.listen()

    return script


def test_a_cookie_given_to_one_cable_does_not_travel_with_the_next(peers: Peers) -> None:
    """The library keeps one jar a process: a balancer's sticky cookie would pin all customers to one node."""
    peer = peers(welcoming(extra="Set-Cookie: node=1; Domain=127.0.0.1\r\n"))
    try:
        for _ in range(2):
            websocket.create_connection(peer.url, timeout=5).shutdown()
        assert peer.conns[-1].header("Cookie") == "node=1", "the library's behaviour, shown"
        for _ in range(2):
            upgraded(peer).close()
        assert [conn.header("Cookie") for conn in peer.conns[-2:]] == [None, None]
        assert peer.conns[-1].header("Host") == f"127.0.0.1:{peer.port}"
    finally:
        CookieJar.jar.clear()


def test_a_proxy_of_the_environment_is_not_taken(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP and cable must go the same way, and the library would even reach 127.0.0.1 through a proxy."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    peer = peers(welcoming())
    with pytest.raises(OSError, match="refused"):
        websocket.create_connection(peer.url.replace("127.0.0.1", "localhost"), timeout=5)
    upgraded(peer).close()


def test_an_answer_without_a_subprotocol_is_taken(peers: Peers) -> None:
    """The server may answer none and works all the same; the library, told of ours, would refuse."""
    peer = peers(welcoming(subprotocol=None))
    with pytest.raises(websocket.WebSocketException):
        websocket.create_connection(peer.url, timeout=5, subprotocols=OFFERED)
    upgraded(peer).close()
    assert peer.conns[-1].header("Sec-WebSocket-Protocol") == ", ".join(OFFERED)


def test_what_follows_the_answer_in_its_segment_stays_in_the_socket(peers: Peers) -> None:
    """The library reads the answer byte by byte, which makes taking the socket over safe."""
    sock = upgraded(peers(welcoming()))
    assert sock.recv(100) == frame(WELCOME)
    sock.close()


def test_a_redirect_is_an_answer_and_not_followed(peers: Peers) -> None:
    """The library would follow it, through the environment's proxy."""

    def elsewhere(conn: Conn) -> None:
        conn.read_request()
        conn.send(f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode())
        conn.listen()

    other, peer = peers(welcoming()), peers(elsewhere)
    websocket.create_connection(peer.url, timeout=5).shutdown()
    assert len(other.conns) == 1, "the library's behaviour, shown"
    with pytest.raises(AnswerError) as caught:
        upgraded(peer)
    assert (caught.value.status, caught.value.kind) == (302, "redirect")
    assert len(other.conns) == 1


@pytest.mark.alone
def test_checking_utf8_in_python_would_cost_more_than_all_the_rest() -> None:
    """Why our cables are read by ourselves, and the library is told to skip it."""
    try:
        import wsaccel  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("wsaccel is installed")

    def cost_s(*, skip: bool) -> float:
        ours, theirs = socket.socketpair()
        client = websocket.WebSocket(skip_utf8_validation=skip)
        client.sock, client.connected = ours, True
        theirs.sendall(frame("x" * 1400) * 20)
        began = time.process_time()
        assert [len(client.recv()) for _ in range(20)] == [1400] * 20
        spent = time.process_time() - began
        ours.close(), theirs.close()
        return spent

    assert min(cost_s(skip=False) for _ in range(3)) > 3 * min(cost_s(skip=True) for _ in range(3))


def answering(answer: bytes) -> Callable[[Conn], None]:
    def script(conn: Conn) -> None:
        conn.read_request()
        conn.send(answer)
        conn.finish()
        conn.listen()

    return script


SECRET = b"said by the server and nobody's business"


@pytest.mark.parametrize("status", [200, 403, 404, 429, 502])
def test_any_answer_but_101_is_an_answer_error(peers: Peers, status: int) -> None:
    """Its status is told, its text is not repeated."""
    answer = b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n\r\n%s" % (status, len(SECRET), SECRET)
    with pytest.raises(AnswerError) as caught:
        upgraded(peers(answering(answer)))
    assert (caught.value.status, caught.value.kind) == (status, f"http_{status}")
    assert SECRET.decode() not in str(caught.value)


OK = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"what?\r\n\r\n",
        b"HTTP/1.1 huh\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        OK + b"\r\n",
        OK + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"Set-Cookie: a@b=c\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
    ],
)
def test_an_answer_that_makes_no_websocket_is_their_error(peers: Peers, answer: bytes) -> None:
    """However broken it is, it has one name."""
    with pytest.raises(RemoteProtocolError) as caught:
        upgraded(peers(answering(answer)))
    assert caught.value.kind == "bad_handshake"


@pytest.mark.parametrize("answer", [b"", OK, b"HTTP/1.1 500 Oh\r\nContent-Length: 1000\r\n\r\nhalf"])
def test_an_answer_that_ends_too_early_is_a_cut(peers: Peers, answer: bytes) -> None:
    """Bytes had left, so it is not called unreachable."""
    with pytest.raises(TransportError) as caught:
        upgraded(peers(answering(answer)))
    assert caught.value.kind == "cut"


def test_headers_and_origin_of_the_owner_are_sent(peers: Peers) -> None:
    """Without one the origin is the server's own, as a page of it would send."""
    peer = peers(welcoming())
    upgraded(peer).close()
    upgraded(peer, origin="https://shop.example", headers=("X-Trace: 1", "User-Agent: loadkit")).close()
    assert peer.conns[0].header("Origin") == f"http://127.0.0.1:{peer.port}"
    assert [peer.conns[1].header(name) for name in ("Origin", "X-Trace", "User-Agent")] == ["https://shop.example", "1", "loadkit"]


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("ws://chat.example/cable", Endpoint("chat.example", 80, False, "/cable"), "chat.example"),
        ("wss://chat.example/cable?a=b", Endpoint("chat.example", 443, True, "/cable?a=b"), "chat.example"),
        ("http://127.0.0.1:3000/cable", Endpoint("127.0.0.1", 3000, False, "/cable"), "127.0.0.1:3000"),
        ("https://[::1]:8443", Endpoint("::1", 8443, True, "/"), "[::1]:8443"),
    ],
)
def test_an_endpoint_is_read_from_its_address(url: str, expected: Endpoint, authority: str) -> None:
    """A host's own http and https addresses will do as well."""
    assert Endpoint.of(url) == expected
    assert expected.authority == authority


@pytest.mark.parametrize("url", ["", "chat.example/cable", "ftp://chat.example", "ws://", "ws://host:port/", "ws://[::1/"])
def test_an_address_that_is_none_is_refused_in_a_sentence(url: str) -> None:
    """A person gave it."""
    with pytest.raises(SettingsError):
        Endpoint.of(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid", "x" * 300])
def test_a_host_that_cannot_be_reached(host: str) -> None:
    """Refused, unknown and impossible names are all unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TransportError) as caught:
        reach(Endpoint(host, port, False, "/"), socket)
    assert caught.value.kind == "unreachable"


def test_want_of_a_descriptor_is_our_own_shortage() -> None:
    """It says nothing of the target, which was not even asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1], False, "/")
        with no_descriptors(), pytest.raises(TransportError, match="Too many open files") as caught:
            reach(endpoint, socket)
    assert caught.value.kind == "shortage"


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([errno.EADDRNOTAVAIL], "shortage"),
        ([errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL], "shortage"),
        ([errno.ECONNREFUSED, errno.EADDRNOTAVAIL], "unreachable"),
        ([errno.EADDRNOTAVAIL, errno.ECONNREFUSED], "unreachable"),
        ([], "unreachable"),
    ],
)
def test_no_port_left_is_told_from_a_family_that_is_switched_off(errors: list[int], kind: str) -> None:
    """Both are the same error of the system's: only if no address could be tried was it our own doing."""
    left = iter(errors)

    class Refusing(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError(next(left), "no")

    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
    sockets = SimpleNamespace(getaddrinfo=lambda *_: [address] * len(errors), socket=Refusing)
    with pytest.raises(TransportError) as caught:
        reach(Endpoint("localhost", 1, False, "/"), sockets)
    assert caught.value.kind == kind
