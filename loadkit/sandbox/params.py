"""Request parameters as Rails reads them: JSON, urlencoded or multipart bodies, nested names, and column-like conversions."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

import msgspec

__all__ = ["BadBody", "Upload", "is_true", "nested", "parse_body", "parse_query", "text"]

DEPTH = 32
FIELDS = 4096


class BadBody(ValueError):
    """A body or query that cannot be read: the answer is 400."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart body."""

    name: str
    content_type: str
    content: bytes


def parse_query(query: str) -> dict[str, Any]:
    """Return the parameters of a query string or urlencoded body. Raises BadBody."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as error:
        raise BadBody(str(error)) from None
    return nested(pairs)


def parse_body(content_type: str, body: bytes) -> dict[str, Any]:
    """Return the parameters of a body; one of another type than the three has none. Raises BadBody."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return _json(body)
    if kind == "multipart/form-data":
        return nested(_multipart(content_type, body))
    if kind == "application/x-www-form-urlencoded":
        return parse_query(body.decode("latin-1"))
    return {}


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        value = msgspec.json.decode(body)
        msgspec.json.encode(value)  # what cannot be written again, say an integer of 100 digits, is refused here
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise BadBody(str(error)) from None
    return value if isinstance(value, dict) else {}


def _multipart(content_type: str, body: bytes) -> list[tuple[str, Any]]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + body)
    if not message.is_multipart():
        raise BadBody("a multipart body without its boundary")
    pairs: list[tuple[str, Any]] = []
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        if (filename := part.get_filename()) is not None:
            pairs.append((name, Upload(str(filename), part.get_content_type(), content)))
        else:
            pairs.append((name, _utf8(content)))
    return pairs


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadBody("a field that is not UTF-8") from None


def nested(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return flat pairs as a tree: `a[b]=1` is an object, `a[]=1` an array. Raises BadBody where names contradict."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        keys = [head, *(key.rstrip("]") for key in rest.split("["))] if rest else [head]
        if len(keys) > DEPTH:
            raise BadBody("parameters nested too deeply")
        _put(tree, keys, value)
    return tree


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    key, *rest = keys
    if not rest:
        tree[key] = value
    elif rest == [""]:
        _container(tree, key, list).append(value)
    elif rest[0] == "":
        items = _container(tree, key, list)
        if not items or not isinstance(items[-1], dict) or rest[1] in items[-1]:
            items.append({})
        _put(items[-1], rest[1:], value)
    else:
        _put(_container(tree, key, dict), rest, value)


def _container(tree: dict[str, Any], key: str, kind: type) -> Any:
    held = tree.setdefault(key, kind())
    if not isinstance(held, kind):
        raise BadBody(f"parameter {key!r} is of two kinds")
    return held


def text(params: dict[str, Any], key: str) -> str | None:
    """Return a parameter as a text column stores it; what is no scalar is dropped."""
    value = params.get(key)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value) if isinstance(value, str | int | float) else None


def is_true(value: Any) -> bool:
    """Return a parameter as a boolean column stores it."""
    return value not in (None, "", False, 0, "0", "f", "F", "false", "FALSE", "False", "off", "OFF", "Off")
