"""A call ready to be carried, and how its body is written: JSON, or the parts of a form where files go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from loadkit.chat.routes import Route

__all__ = ["JSON", "Attachment", "Defect", "Request", "form"]

JSON = "application/json"

_UNQUOTED = re.compile(r'[\r\n"\\]')


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of the server that is known: the kind of refusal that comes of it, and what to tell of it."""

    refusal: str
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A call: its route (the name it is reported under), its path and its body of a content type.

    `defect` is what may keep the server from answering it however little load there is.
    """

    route: Route
    path: str
    body: bytes | None = None
    content_type: str = JSON
    defect: Defect | None = None

    @classmethod
    def json(cls, route: Route, path: str, body: Any = None) -> Request:
        """Return a request with a JSON body, without any where it is None."""
        return cls(route, path, None if body is None else msgspec.json.encode(body))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to send: the server tells pictures, sounds and films from others by `content_type`."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"


def form(fields: Mapping[str, str], files: Sequence[Attachment]) -> tuple[str, bytes]:
    """Return content type and body of a multipart form (RFC 7578): text fields, then the files, each an `attachments[]`."""
    parts = [(f'name="{_plain(name)}"', "", value.encode()) for name, value in fields.items()]
    for file in files:
        header = f"\r\nContent-Type: {_plain(file.content_type)}"
        parts.append((f'name="attachments[]"; filename="{_plain(file.name)}"', header, file.content))
    boundary = _boundary(parts)
    written = [
        b"--" + boundary + f"\r\nContent-Disposition: form-data; {name}{header}\r\n\r\n".encode() + content + b"\r\n"
        for name, header, content in parts
    ]
    return f"multipart/form-data; boundary={boundary.decode()}", b"".join(written) + b"--" + boundary + b"--\r\n"


def _plain(text: str) -> str:
    """Return a text that ends neither its quotes nor its line."""
    return _UNQUOTED.sub("_", text)


def _boundary(parts: Sequence[tuple[str, str, bytes]]) -> bytes:
    """Return a line that occurs in none of the parts: it is made of what they hold."""
    digest = blake2b(digest_size=16)
    for _, _, content in parts:
        digest.update(content)
    return b"loadkit" + digest.hexdigest().encode()
