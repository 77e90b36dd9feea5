"""One HTTP exchange as values: the request as the two APIs see it, and every kind of answer with its headers and framing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from loadkit.sandbox import params as reading
from loadkit.sandbox.truth import Attempt
from loadkit.sandbox.words import encode

__all__ = [
    "Answer",
    "Refused",
    "Request",
    "as_id",
    "bad_body",
    "empty",
    "failure",
    "found",
    "invalid",
    "json_answer",
    "no_route",
    "proxy_page",
    "refusal",
    "throttled",
    "unquoted",
]

_Row = TypeVar("_Row")

REASONS = {
    101: "Switching Protocols",
    200: "OK",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Content Too Large",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
CONTROLLER_JSON = "application/json; charset=utf-8"
MIDDLEWARE_JSON = "application/json; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
FRESH = "max-age=0, private, must-revalidate"
NOT_FOUND_PAGE = 1564


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `params` of query and body merged, `received_us` when it was read (monotonic).

    `fills` are the filled-in placeholders of its route; what is in `after` is called with the status when the answer leaves, with None
    where none ever does. `attempt` is the line of the truth that it is, if it is one.
    """

    method: str
    params: dict[str, Any]
    token: str | None
    if_none_match: str | None
    request_id: str
    received_us: int
    fills: dict[str, str] = field(default_factory=dict)
    after: list[Callable[[int | None], None]] = field(default_factory=list)
    attempt: Attempt | None = None

    def text(self, key: str) -> str | None:
        """Return a parameter as text, None where it is missing or no scalar. Raises Refused (500) for a NUL in it."""
        value = reading.text(self.params, key)
        if value and "\0" in value:
            raise Refused(failure(500))
        return value

    def number(self, key: str) -> int | None:
        """Return a parameter as an id: text that is no number counts as 0, None is missing."""
        value = reading.text(self.params, key)
        return None if value is None else as_id(value)

    def echo(self) -> dict[str, Any]:
        """Return the `echo_id` as a mapping, empty where there is none: it comes back as it was, type included."""
        value = self.params.get("echo_id")
        return {"echo_id": value} if isinstance(value, str | int | float) else {}

    def attributes(self, key: str) -> dict[str, Any]:
        """Return a parameter that must be an object; anything else is dropped."""
        value = self.params.get(key)
        return value if isinstance(value, dict) else {}


def as_id(value: str) -> int:
    """Return the number that a text begins with, 0 where it begins with none, as a database id is read."""
    digits = value.strip()[:18]
    while digits and not digits.isdecimal():
        digits = digits[:-1]
    return int(digits) if digits else 0


def unquoted(part: str) -> str:
    """Return a path segment unquoted. Raises Refused (400) where that is no UTF-8."""
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise Refused(bad_body("")) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `chunked` ones are sent without a length, `fresh` ones carry an ETag."""

    status: int
    body: bytes
    content_type: str
    cache_control: str | None = None
    chunked: bool = False

    @property
    def status_line(self) -> str:
        """The code and its reason."""
        return f"{self.status} {REASONS.get(self.status, 'Error')}"

    def etag(self) -> str | None:
        """Return the weak tag that every 200 with a body has."""
        if self.status != 200 or not self.body:
            return None
        return f'W/"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class Refused(Exception):
    """Ends a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json_answer(value: Any) -> Answer:
    """Return a 200 with a JSON body."""
    return Answer(200, encode(value), CONTROLLER_JSON, FRESH)


def empty() -> Answer:
    """Return a 200 of zero bytes."""
    return Answer(200, b"", "application/json", "no-cache")


def refusal(status: int, value: Any) -> Answer:
    """Return an error that a controller words itself: chunked."""
    return Answer(status, encode(value), CONTROLLER_JSON, "no-cache", chunked=True)


def invalid(message: str, attribute: str) -> Answer:
    """Return the answer for a record that is not valid."""
    return refusal(422, {"message": message, "attributes": [attribute]})


def found(row: _Row | None) -> _Row:
    """Return a row. Raises Refused (404, in the framework's words) for None."""
    if row is None:
        raise Refused(failure(404))
    return row


def failure(status: int) -> Answer:
    """Return an error that the framework words."""
    return Answer(status, encode({"status": status, "error": REASONS[status]}), MIDDLEWARE_JSON)


def throttled() -> Answer:
    """Return the refusal of the throttle."""
    return Answer(429, b"Retry later\n", "text/plain", "no-cache")


def bad_body(accept: str) -> Answer:
    """Return the answer to a body or path that cannot be read: JSON only for who asks for JSON."""
    return failure(400) if "application/json" in accept else Answer(400, b"", HTML)


def no_route(accept: str) -> Answer:
    """Return the answer to a path that is nothing."""
    if "application/json" in accept:
        return failure(404)
    page = b"<!DOCTYPE html><html><head><title>Not found (404)</title></head><body><p>Nothing here.</p></body></html>"
    return Answer(404, page.ljust(NOT_FOUND_PAGE), HTML)


def proxy_page(status: int) -> Answer:
    """Return what a proxy in front of a dead server answers."""
    title = f"{status} {REASONS.get(status, 'Error')}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n"
    return Answer(status, page.encode(), "text/html")
