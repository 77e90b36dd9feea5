"""The web server's front: one WSGI application that reads a request, lets it wait its turn, and frames the answer as Rails does."""

from __future__ import annotations

import errno
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import gevent

from loadkit import clock
from loadkit.sandbox.cable import Cable
from loadkit.sandbox.exchange import Answer, Refused, Request, bad_body, failure, no_route, throttled
from loadkit.sandbox.face import CABLES
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.params import BadBody, parse_body, parse_query
from loadkit.sandbox.pipeline import Pipeline
from loadkit.sandbox.router import Action, Router
from loadkit.sandbox.throttle import Throttle

__all__ = ["Front"]

_log = logging.getLogger(__name__)

BIGGEST_BODY = 64 * 1024 * 1024
PUBLIC = "/public/api/"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]


class Vanished(Exception):
    """A request that nobody will ever see or answer."""


class Front:
    """The application behind the imitated server's port; `requests` counts what it was asked, `faults` are those of its connections too."""

    def __init__(self, router: Router, cable: Cable, pipeline: Pipeline, faults: Faults, throttle: Throttle) -> None:
        self._router = router
        self._throttle = throttle
        self._cable = cable
        self._pipeline = pipeline
        self.faults = faults
        self.requests = 0

    def admit(self, environ: dict[str, Any]) -> bool:
        """Let a cable handshake wait its turn; False where the throttle refuses it, which the request then hears."""
        if self._throttle.refuses(environ):
            environ["loadkit.throttled"] = True
            return False
        self.requests += 1
        self._wait()
        self._pipeline.handshake()
        if self.faults.black_hole:
            _swallow(environ)
        return True

    def _wait(self) -> None:
        while (held := self.faults.stalled_s()) > 0:
            gevent.sleep(held)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request, or the socket that it became."""
        if environ.get("wsgi.websocket"):
            self._cable.serve(environ["wsgi.websocket"])
            return []
        self.requests += 1
        started, request_id = clock.now_us(), _request_id(environ)
        if preflight := _preflight(environ):
            start_response("200 OK", preflight)
            return [b""]
        after: list[Callable[[int | None], None]] = []
        answer: Answer | None
        try:
            answer, started = self._answer(environ, request_id, after)
        except Refused as refused:
            answer = refused.answer
        except Vanished:
            answer = None
        except Exception:  # noqa: BLE001 - a bug of ours is a 500 and a log line, never the end of the server
            _log.exception("a request failed")
            answer = failure(500)
        if answer is None or self.faults.black_hole:
            for tell in after:
                tell(None)
            _swallow(environ)
            return []
        return _send(answer, environ, start_response, request_id, started, after)

    def _answer(self, environ: dict[str, Any], request_id: str, after: list[Callable[[int | None], None]]) -> tuple[Answer, int]:
        """Return the answer and when its serving began (monotonic microseconds), queueing left out."""
        path, method = environ["loadkit.path"], environ["REQUEST_METHOD"]
        refused = environ.get("loadkit.throttled") or self._throttle.refuses(environ)
        accept = environ.get("HTTP_ACCEPT", "")
        body = _body(environ)
        received = clock.now_us()
        if not refused:
            self._wait()
        if path in CABLES:
            return (
                throttled() if refused else Answer(404, b"Page not found", "text/plain", cache_control="no-cache", chunked=True)
            ), received
        found = self._router.find("GET" if method == "HEAD" else method, path)
        if found is None:
            return throttled() if refused else no_route(accept), received
        try:
            request = Request(
                method=method,
                params=_params(environ, body),
                token=environ.get("HTTP_API_ACCESS_TOKEN"),
                if_none_match=environ.get("HTTP_IF_NONE_MATCH"),
                request_id=request_id,
                received_us=received,
                fills=found.fills,
                after=after,
            )
        except BadBody:
            return throttled() if refused else bad_body(accept), received
        if found.witness:
            request = replace(request, attempt=found.witness(request))
        if refused:
            return throttled(), received
        if self.faults.black_hole:
            if request.attempt:
                request.attempt.fault = "in_black_hole"
            raise Vanished
        return self._served(request, found.action)

    def _served(self, request: Request, action: Action) -> tuple[Answer, int]:
        def act() -> Answer:
            try:
                return action(request)
            except Refused as refused:
                return refused.answer

        method = "GET" if request.method == "HEAD" else request.method
        answer, began = self._pipeline.serve(method, act)
        if method == "GET" and request.if_none_match and request.if_none_match == answer.etag():
            answer = replace(answer, status=304, body=b"")
        return answer, began


def _swallow(environ: dict[str, Any]) -> None:
    """Never answer: drop what still comes until the peer is gone. Raises OSError, which ends the connection without a word."""
    peer = environ["loadkit.socket"]
    while peer.recv(65536):
        pass
    raise BrokenPipeError(errno.EPIPE, "swallowed by a black hole")


def _params(environ: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    """Return the parameters of query and body. Raises BadBody."""
    if body is None:
        raise BadBody("too long, or cut short")
    return parse_query(environ.get("QUERY_STRING", "")) | parse_body(environ.get("CONTENT_TYPE", ""), body)


def _body(environ: dict[str, Any]) -> bytes | None:
    """Return the whole body, None where it is too long or does not come."""
    try:
        body: bytes = environ["wsgi.input"].read(BIGGEST_BODY + 1) if environ.get("wsgi.input_terminated") else b""
    except (OSError, ValueError):
        return None
    return None if len(body) > BIGGEST_BODY else body


def _request_id(environ: dict[str, Any]) -> str:
    """Return the client's own request id if it sent one, as Rails does, else a new one."""
    given = re.sub(r"[^\w\-@]", "", environ.get("HTTP_X_REQUEST_ID", ""), flags=re.ASCII)[:255]
    return given or str(uuid.uuid4())


def _preflight(environ: dict[str, Any]) -> Headers | None:
    asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
    is_public = environ["loadkit.path"].startswith(PUBLIC)
    if not (is_public and environ["REQUEST_METHOD"] == "OPTIONS" and asked and environ.get("HTTP_ORIGIN")):
        return None
    headers = [
        ("Content-Length", "0"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", METHODS),
        ("access-control-max-age", "7200"),
    ]
    if wanted := environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"):
        headers.append(("access-control-allow-headers", wanted))
    return headers


def _send(
    answer: Answer,
    environ: dict[str, Any],
    start_response: StartResponse,
    request_id: str,
    started_us: int,
    after: list[Callable[[int | None], None]],
) -> Iterable[bytes]:
    headers = [("Content-Type", answer.content_type)]
    if environ["loadkit.path"].startswith(PUBLIC):
        headers.append(("Vary", "Origin"))
        if environ.get("HTTP_ORIGIN"):
            headers += [("access-control-allow-origin", "*"), ("access-control-allow-methods", METHODS)]
            headers.append(("access-control-max-age", "7200"))
    if tag := answer.etag():
        headers.append(("ETag", tag))
    if answer.cache_control:
        headers.append(("Cache-Control", answer.cache_control))
    headers.append(("X-Request-Id", request_id))
    headers.append(("X-Runtime", f"{(clock.now_us() - started_us) / 1e6:.6f}"))
    if environ["REQUEST_METHOD"] == "HEAD" or answer.status == 304:
        answer_body: Iterable[bytes] = [b""]
        if answer.status != 304:
            headers.append(("Content-Length", str(len(answer.body))))
    elif answer.chunked:
        answer_body = iter([answer.body])  # without a length gevent falls back on chunks
    else:
        answer_body = [answer.body]
    start_response(answer.status_line, headers)
    for tell in after:
        tell(answer.status)
    return answer_body
