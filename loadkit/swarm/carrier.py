"""Sends a customer's requests over Locust's HTTP client, times and counts them, and decodes what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadkit import clock
from loadkit.chat import models
from loadkit.chat.answers import refusal
from loadkit.chat.request import JSON, Request
from loadkit.errors import RemoteProtocolError, TransportError
from loadkit.swarm.exchanges import Exchanges

if TYPE_CHECKING:
    from locust.contrib.fasthttp import FastHttpSession

__all__ = ["Carrier"]


class Carrier:
    """Carries one user's requests, each on a connection of its own where connections are not kept."""

    def __init__(self, client: FastHttpSession, exchanges: Exchanges, *, keeps: bool = True) -> None:
        self._client, self._exchanges, self._keeps = client, exchanges, keeps

    def __call__(self, request: Request, shape: Any, outcome: dict[str, str] | None = None) -> Any:
        """Send a request and return its decoded answer, None where it failed; count and time it under its route's name.

        Where `shape` is None the answer has no body, and True is returned for it. The kind of a refusal goes to `outcome`.
        """
        try:
            return self._carry(request, shape, outcome)
        except RuntimeError as error:  # geventhttpclient tries a cut GET again, and the pool was closed by another request of this user
            if "pool closed" not in str(error):
                raise
            self._exchanges.broken(request.route, TransportError("cut", str(error)))  # Locust's client did not get to tell of it
            return None
        finally:
            if not self._keeps:  # geventhttpclient asks for the close but uses the connection again unless the server closes it first
                self._client.client.clientpool.close()

    def _carry(self, request: Request, shape: Any, outcome: dict[str, str] | None) -> Any:
        exchanges, route = self._exchanges, request.route
        sent_us = clock.now_us()
        with (
            exchanges.under_way(route.name, sent_us),
            self._client.request(
                route.method,
                request.path,
                name=route.name,
                data=request.body,  # type: ignore[arg-type] # bytes are taken too
                headers={"Content-Type": request.content_type, "Accept": JSON},
                catch_response=True,
                allow_redirects=False,
            ) as response,
        ):
            took_us = clock.now_us() - sent_us
            status, body = response.status_code or 0, response.content or b""
            if not status:
                kind = _no_answer(response.error)
                response.failure(kind)
                exchanges.unanswered(route.name, kind, str(response.error)[:120])
                return None
            kind = refusal(status, body)
            try:
                value = None if kind else True if shape is None else models.decode(body, shape, route.name)
                text = body[:200].decode("utf-8", "replace")
            except RemoteProtocolError as error:
                value, kind, text = None, error.kind, str(error)
            exchanges.answered(route.name, took_us)
            if exchanges.excused(request, kind):
                response.success()
            elif kind:
                if outcome is not None:
                    outcome["refusal"] = kind
                response.failure(kind)
                exchanges.failed(route.name, kind, f"{status}: {text}")
            return value


def _no_answer(error: object) -> str:
    """Return the kind of an exchange without an answer; addresses and texts stay out of it."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, OSError) and not isinstance(error, ConnectionResetError):
        return TransportError.of_opening(error)
    return "cut"
