"""Posted files: which kind each is, and how large an image says it is. The bytes are dropped."""

from __future__ import annotations

import struct
from typing import Any

from loadkit.sandbox.exchange import Refused, failure
from loadkit.sandbox.params import Upload
from loadkit.sandbox.rows import Attachment
from loadkit.sandbox.store import Store

__all__ = ["attachments"]

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/bmp", "image/webp")
_VIDEOS = ("video/ogg", "video/mp4", "video/webm", "video/quicktime")


def attachments(store: Store, value: Any) -> list[Attachment]:
    """Return the rows of `attachments[]`. Raises Refused (500) where it is no list of files, as the real server breaks on it."""
    if value in (None, []):
        return []
    if not isinstance(value, list) or not all(isinstance(each, Upload) for each in value):
        raise Refused(failure(500))
    return [store.add_attachment(each.name, _kind(each), len(each.content), _dimensions(each)) for each in value]


def _kind(upload: Upload) -> str:
    if upload.content_type in _IMAGES:
        return "image"
    if upload.content_type in _VIDEOS:
        return "video"
    return "audio" if "audio/" in upload.content_type else "file"


def _dimensions(upload: Upload) -> tuple[int, int] | None:
    head = upload.content[:24]
    if len(head) == 24 and head.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if len(head) >= 10 and head.startswith(b"GIF8"):
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    return None
