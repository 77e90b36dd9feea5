"""RFC 6455 after the handshake, client side: bytes in, whole messages out; texts, pongs and closes as bytes to send.

Whole plain text frames are split off without a state machine; a frame cut by the end of a read is kept until
it is whole; everything else (fragments, control frames, binary, violations) goes through wsproto. Knows nothing of sockets.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from struct import pack
from typing import Final

from wsproto.frame_protocol import Frame as WsFrame
from wsproto.frame_protocol import FrameDecoder, MessageDecoder, Opcode, ParseFailed

from loadkit.errors import RemoteProtocolError

__all__ = ["MAX_MESSAGE", "PLAIN_TEXT", "Binary", "Close", "Item", "Ping", "Splitter", "close", "pong", "text"]

MAX_MESSAGE: Final = 64 << 20
PLAIN_TEXT: Final = 0x81
"""The first byte of a text frame that is a whole message: final, no extension, opcode 1."""

_NO_STATUS: Final = 1005
_BAD_UTF8: Final = 1007

# wsproto tells violations apart by its sentences only; a sentence that is not known here is a plain `bad_frame`.
_KINDS: Final = (
    ("unexpected masked", "masked_frame"),
    ("opcode", "bad_opcode"),
    ("Reserved bit", "reserved_bits"),
    ("CONTINUATION", "bad_fragment"),
    ("fragment control", "bad_fragment"),
    ("CLOSE", "bad_close"),
    ("ength", "bad_length"),
    ("payload len", "bad_length"),
)


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a `pong` with this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes; `code` is 1005 where it gave none. Nothing that follows counts."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary message of `size` bytes: Action Cable has none, so its content is not kept."""

    size: int


Item = bytes | Ping | Close | Binary | RemoteProtocolError
"""A text, or what else was said.

A RemoteProtocolError is the last item there will be: `masked_frame`, `bad_opcode`, `reserved_bits`, `bad_fragment`,
`bad_close`, `bad_length`, `bad_utf8`, `too_big` or `bad_frame`.
"""

_HEADER_INCOMPLETE: Final = 0
_NOT_PLAIN: Final = -1


class Splitter:
    """The receiving side of one socket. A plain text's UTF-8 is left to whoever decodes it; wsproto checks all others."""

    __slots__ = ("_finished", "_rest", "_slow")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._slow: _Slow | None = None
        self._finished = False

    @property
    def clean(self) -> bool:
        """Whether everything fed was handed out: no started frame, no started message, not finished."""
        return not self._rest and self._slow is None and not self._finished

    def feed(self, data: bytes) -> list[Item]:
        """Return what the bytes of one read complete, in order."""
        if self._finished:
            return []
        if self._slow is not None:
            return self._odd(data)
        self._rest += data
        items: list[Item] = []
        del self._rest[: _plain_texts(self._rest, items)]
        return items + self._leftover() if self._rest else items

    def _leftover(self) -> list[Item]:
        """Decide on the bytes that begin no whole plain text: wait for more, give up, or leave them to wsproto."""
        body, stop = _plain_text(self._rest, 0, len(self._rest))
        if body == _NOT_PLAIN:
            data, self._rest = self._rest, bytearray()
            return self._odd(bytes(data))
        if stop - body > MAX_MESSAGE:
            self._finished = True
            return [RemoteProtocolError("too_big", "a cable message of more than 64 MiB")]
        return []

    def _odd(self, data: bytes) -> list[Item]:
        slow = self._slow = self._slow or _Slow()
        items = slow.feed(data)
        if items and isinstance(items[-1], Close | RemoteProtocolError):
            self._finished = True
        if slow.at_rest:
            self._slow = None
        return items


def _plain_texts(data: bytearray, texts: list[Item]) -> int:
    """Append every whole plain text from the start; return where they end."""
    at, end = 0, len(data)
    while at < end:
        body, stop = _plain_text(data, at, end)
        if body <= 0 or stop > end:
            break
        texts.append(bytes(data[body:stop]))
        at = stop
    return at


def _plain_text(data: bytearray, at: int, end: int) -> tuple[int, int]:
    """Return where the payload of the plain text frame at `at` begins and ends, or one of the two excuses."""
    if data[at] != PLAIN_TEXT:
        return _NOT_PLAIN, 0
    if end - at < 2:
        return _HEADER_INCOMPLETE, 0
    length = data[at + 1]
    if length < 126:
        return at + 2, at + 2 + length
    if length > 127:
        return _NOT_PLAIN, 0
    body, shortest = (at + 4, 126) if length == 126 else (at + 10, 1 << 16)
    if end < body:
        return _HEADER_INCOMPLETE, 0
    length = int.from_bytes(data[at + 2 : body], "big")
    return (body, body + length) if shortest <= length < 1 << 63 else (_NOT_PLAIN, 0)


class _Slow:
    """wsproto's decoders, and the message they are in the middle of."""

    __slots__ = ("_frames", "_messages", "_parts", "_size")

    def __init__(self) -> None:
        self._frames = FrameDecoder(client=True, extensions=[])
        self._messages = MessageDecoder()
        self._parts: list[str] = []
        self._size = 0

    @property
    def at_rest(self) -> bool:
        return self._frames.header is None and not len(self._frames.buffer) and self._messages.opcode is None

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        self._frames.receive_bytes(data)
        try:
            while (frame := self._frames.process_buffer()) is not None:
                item = self._control(frame) if frame.opcode.iscontrol() else self._message(frame)
                if item is not None:
                    items.append(item)
                if isinstance(item, Close):
                    break
        except ParseFailed as failure:
            items.append(_violation(failure))
        except RemoteProtocolError as error:
            items.append(error)
        return items

    def _control(self, frame: WsFrame) -> Item | None:
        payload = bytes(frame.payload) if isinstance(frame.payload, bytes | bytearray) else b""
        if frame.opcode is Opcode.PING:
            return Ping(payload)
        return _closing(payload) if frame.opcode is Opcode.CLOSE else None

    def _message(self, frame: WsFrame) -> Item | None:
        self._size += len(frame.payload)
        if self._size > MAX_MESSAGE:
            raise RemoteProtocolError("too_big", "a cable message of more than 64 MiB")
        frame = self._messages.process_frame(frame)
        if isinstance(frame.payload, str):
            self._parts.append(frame.payload)
        if not frame.message_finished:
            return None
        size, parts = self._size, self._parts
        self._size, self._parts = 0, []
        return "".join(parts).encode() if frame.opcode is Opcode.TEXT else Binary(size)


def _closing(payload: bytes) -> Close:
    if not payload:
        return Close(_NO_STATUS, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not 1000 <= code < 5000 or code in (1004, _NO_STATUS, 1006, 1015) or 1016 <= code < 3000:
        raise RemoteProtocolError("bad_close", "a close frame with a code that may not be sent")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise RemoteProtocolError("bad_utf8", "a close frame whose reason is not UTF-8") from None


def _violation(failure: ParseFailed) -> RemoteProtocolError:
    sentence = str(failure)
    if failure.code == _BAD_UTF8:
        return RemoteProtocolError("bad_utf8", "a cable message that is not UTF-8")
    kind = next((kind for words, kind in _KINDS if words in sentence), "bad_frame")
    return RemoteProtocolError(kind, f"a frame that breaks RFC 6455: {sentence}")


def text(message: str) -> bytes:
    """Return a text frame, masked as a client's must be."""
    return _frame(Opcode.TEXT, message.encode())


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping; at most 125 bytes, as the ping had."""
    return _frame(Opcode.PONG, payload)


def close(code: int = 1000) -> bytes:
    """Return a close frame; 1005 stands for "no code" and sends none."""
    return _frame(Opcode.CLOSE, b"" if code == _NO_STATUS else pack("!H", code))


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        head = pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    key = os.urandom(4)
    # One XOR of two long integers: 200 bytes cost about 1 µs, where a loop over the bytes costs 10.
    pad = (key * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + masked.to_bytes(length, "big")
