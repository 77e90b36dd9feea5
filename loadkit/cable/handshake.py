"""From an address to a websocket: the connection is made here, the upgrade is asked for by websocket-client.

Its traps are fenced here: proxies from the environment, a cookie jar shared by the whole process, followed redirects, servers
that answer no subprotocol, and error texts that repeat the whole answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError
from socket import IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY
from ssl import SSLCertVerificationError, SSLContext
from typing import Any, Final
from urllib.parse import urlsplit

import websocket

from loadkit.clock import now_us
from loadkit.errors import AnswerError, RemoteProtocolError, SettingsError, TransportError

__all__ = ["SUBPROTOCOLS", "Endpoint", "reach", "upgrade"]

SUBPROTOCOLS: Final = ("actioncable-v1-json", "actioncable-unsupported")
# The name that websocket-client is told instead of the real one: it asks its process-wide cookie jar by name, and a cookie set
# for one cable's domain would travel with all later ones. The real name goes into the Host header and TLS, which are ours.
_NO_COOKIES: Final = "cable.invalid"
_SWITCHING: Final = 101


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a cable leads."""

    host: str
    port: int
    tls: bool
    resource: str

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Return the endpoint of a ws, wss, http or https URL. Raises SettingsError."""
        try:
            parts = urlsplit(url)
            host, port, tls = parts.hostname, parts.port, parts.scheme in ("wss", "https")
        except ValueError:
            host, port, tls = None, None, False
        if not host or parts.scheme not in ("ws", "wss", "http", "https"):
            raise SettingsError("a cable's address must look like ws://host:port/cable")
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(host, port or (443 if tls else 80), tls, resource)

    @property
    def authority(self) -> str:
        """Return host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Return the origin that a page of this very server would have."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def reach(
    endpoint: Endpoint, sockets: Any, *, options: Iterable[tuple[int, int, int]] = (), context: SSLContext | None = None
) -> tuple[Any, int]:
    """Return a connected socket, in TLS where the endpoint wants it, and when its connecting began (µs): after the name was resolved.

    `sockets` is the module that makes it, the standard one or gevent's; `options` are set before it connects. Raises
    TransportError (`unreachable`, `shortage`): no byte of ours has left then.
    """
    failed: list[OSError | UnicodeError] = []
    try:
        for family, kind, proto, _, address in sockets.getaddrinfo(endpoint.host, endpoint.port, 0, SOCK_STREAM):
            sock, began_us = sockets.socket(family, kind, proto), now_us()
            try:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                for option in options:
                    sock.setsockopt(*option)
                sock.connect(address)
                if endpoint.tls and context is not None:
                    sock = context.wrap_socket(sock, server_hostname=endpoint.host)
                return sock, began_us
            except OSError as error:
                sock.close()
                failed.append(error)
            except BaseException:
                sock.close()
                raise
    except (OSError, UnicodeError) as error:
        failed.append(error)
    problem = _problem(failed[-1]) if failed else "no address"
    raise TransportError(TransportError.of_addresses(failed), f"cannot connect to {endpoint.host} port {endpoint.port}: {problem}")


def _problem(error: OSError | UnicodeError) -> str:
    if isinstance(error, SSLCertVerificationError):
        return f"the certificate was not accepted, {error.verify_message}"
    return getattr(error, "strerror", None) or type(error).__name__


def upgrade(sock: Any, endpoint: Endpoint, *, headers: tuple[str, ...] = (), origin: str | None = None) -> None:
    """Make a websocket of a connected socket, which is closed where that fails and holds whatever follows the answer.

    `headers` are lines like "Name: value"; `origin` is the server's own by default. Raises AnswerError for any answer but 101,
    RemoteProtocolError (`bad_handshake`), TransportError (`timeout`, `cut`).
    """
    client: Any = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    client.settimeout(sock.gettimeout())
    try:
        client.connect(
            f"ws://{_NO_COOKIES}{endpoint.resource}",
            socket=sock,
            host=endpoint.authority,
            origin=origin or endpoint.origin,
            # As a header line, since an answer without a subprotocol is refused when websocket-client is told of ours.
            header=[f"Sec-WebSocket-Protocol: {', '.join(SUBPROTOCOLS)}", *headers],
            redirect_limit=0,
        )
    except websocket.WebSocketBadStatusException as error:
        status = int(error.status_code)
        raise AnswerError(status, f"http_{status}", f"the cable was answered {status} instead of 101") from None
    except (websocket.WebSocketTimeoutException, TimeoutError):
        raise TransportError("timeout", "no answer to the cable's handshake") from None
    except (websocket.WebSocketConnectionClosedException, OSError):
        raise TransportError("cut", "the connection ended in the cable's handshake") from None
    except (websocket.WebSocketException, CookieError, ValueError):
        answer = client.handshake_response
        if answer is not None and answer.status != _SWITCHING:
            raise AnswerError(answer.status, "redirect", f"the cable was redirected with {answer.status}") from None
        raise RemoteProtocolError("bad_handshake", "an answer that does not make a websocket") from None
    client.sock, client.connected = None, False
