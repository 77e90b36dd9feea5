"""The splitter against wsproto, on every stream and every cut of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from loadkit.cable import websocket
from loadkit.cable.websocket import Binary, Close, Ping, Splitter
from loadkit.errors import RemoteProtocolError
from tests.cable.peer import frame

TEXTS = st.text(max_size=40) | st.integers(120, 130).map("x".__mul__) | st.just("é" * 40_000)
BAD_UTF8 = 1007
KINDS = {"masked_frame", "bad_opcode", "reserved_bits", "bad_fragment", "bad_close", "bad_length", "bad_utf8", "too_big"}
CONTROLS = st.binary(max_size=125)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw the bytes of one legal message: whole, in fragments with control frames between, or a control frame."""
    kind = draw(st.sampled_from(["text", "fragments", "ping", "pong", "binary"]))
    if kind == "ping":
        return frame(draw(CONTROLS), opcode=9)
    if kind == "pong":
        return frame(draw(CONTROLS), opcode=10)
    body = draw(st.binary(max_size=200)) if kind == "binary" else draw(TEXTS).encode()
    opcode = 2 if kind == "binary" else 1
    if kind != "fragments":
        return frame(body, opcode=opcode)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), min_size=1, max_size=4)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    wire = b""
    for at, piece in enumerate(pieces):
        wire += frame(piece, opcode=opcode if at == 0 else 0, fin=at == len(pieces) - 1)
        if at < len(pieces) - 1 and draw(st.booleans()):
            wire += frame(draw(CONTROLS), opcode=9)
    return wire


def reads_of(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges) if a < b]


def split(reads: list[bytes]) -> tuple[list[object], Splitter]:
    """Feed a splitter and return what it made of the reads."""
    splitter = Splitter()
    said: list[object] = []
    for read in reads:
        said += splitter.feed(read)
    return said, splitter


def by_wsproto(wire: bytes) -> tuple[list[object], int | None]:
    """Return what wsproto alone makes of the same bytes, and the close code for the fault it found with them."""
    protocol, said, parts = FrameProtocol(client=True, extensions=[]), [], []
    protocol.receive_bytes(wire)
    try:
        for got in protocol.received_frames():
            if got.opcode is Opcode.PING:
                said.append(Ping(bytes(got.payload)))
            elif got.opcode is Opcode.CLOSE:
                said.append(Close(int(got.payload[0]), got.payload[1]))
            elif not got.opcode.iscontrol():
                parts.append(got.payload)
                if got.message_finished:
                    text = got.opcode is Opcode.TEXT
                    said.append("".join(parts).encode() if text else Binary(sum(map(len, parts))))
                    parts = []
    except ParseFailed as fault:
        return said, int(fault.code)
    return said, None


@given(st.lists(messages(), max_size=6), st.lists(st.integers(0, 1 << 20), max_size=12))
@example([frame("a"), frame("b", fin=False) + frame(b"!", opcode=9) + frame("c", opcode=0)], [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_any_cut_of_any_legal_stream_gives_what_wsproto_gives(said: list[bytes], cuts: list[int]) -> None:
    """Fragments, control frames between them and reads that end anywhere change nothing."""
    wire = b"".join(said)
    got, splitter = split(reads_of(wire, cuts))
    assert (got, None) == by_wsproto(wire)
    assert splitter.clean


@given(st.lists(messages(), max_size=3), st.binary(max_size=300), st.lists(st.integers(0, 1 << 20), max_size=6))
def test_arbitrary_bytes_give_named_errors_and_nothing_else(said: list[bytes], noise: bytes, cuts: list[int]) -> None:
    """A peer that talks rubbish costs one named error, after which nothing more is heard."""
    wire = b"".join(said) + noise
    got, splitter = split(reads_of(wire, cuts))
    faults = [item for item in got if isinstance(item, RemoteProtocolError)]
    assert len(faults) <= 1
    assert not faults or got[-1] is faults[0]
    assert {fault.kind for fault in faults} <= KINDS
    if faults or any(isinstance(item, Close) for item in got):
        assert not splitter.clean
        assert splitter.feed(frame("more")) == []


@given(st.lists(messages(), max_size=3), st.binary(max_size=60))
def test_what_wsproto_refuses_is_refused_but_for_the_utf8_of_plain_texts(said: list[bytes], noise: bytes) -> None:
    """The one leniency is on purpose: checking every plain text would cost more than reading it."""
    wire = b"".join(said) + noise
    expected, fault = by_wsproto(wire)
    got, _ = split([wire])
    if fault is None:
        assert got == expected
    elif fault == BAD_UTF8:
        assert got[: len(expected)] == expected
    else:
        assert got[:-1] == expected
        assert isinstance(got[-1], RemoteProtocolError)


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (frame("x", mask=b"abcd"), "masked_frame"),
        (frame(b"x", opcode=3), "bad_opcode"),
        (frame(b"x", opcode=11), "bad_opcode"),
        (frame("x", rsv=0x40), "reserved_bits"),
        (frame(b"x", opcode=0), "bad_fragment"),
        (frame("a", fin=False) + frame("b"), "bad_fragment"),
        (frame(b"", opcode=9, fin=False), "bad_fragment"),
        (frame(b"x" * 126, opcode=9), "bad_length"),
        (b"\x81\x7e\x00\x05hello", "bad_length"),
        (b"\x81\x7f" + (5).to_bytes(8, "big") + b"hello", "bad_length"),
        (b"\x81\x7f" + (1 << 63).to_bytes(8, "big"), "bad_length"),
        (frame(b"\xff", fin=False), "bad_utf8"),
        (frame(b"\x03\xe8\xff", opcode=8), "bad_utf8"),
        (frame(b"\x03", opcode=8), "bad_close"),
        (frame((1005).to_bytes(2, "big"), opcode=8), "bad_close"),
        (frame((999).to_bytes(2, "big"), opcode=8), "bad_close"),
        (b"\x81\x7f" + ((64 << 20) + 1).to_bytes(8, "big"), "too_big"),
    ],
)
def test_each_violation_has_its_name(wire: bytes, kind: str) -> None:
    """What came before a violation is kept, the violation is named."""
    got, _ = split([frame("before") + wire])
    assert got[0] == b"before"
    assert isinstance(got[-1], RemoteProtocolError)
    assert got[-1].kind == kind


def test_a_message_in_endless_fragments_is_cut_off_at_the_limit() -> None:
    """Memory is bounded however the size is hidden."""
    piece = frame(b"x" * (1 << 17), opcode=0, fin=False)
    splitter = Splitter()
    splitter.feed(frame("x", fin=False))
    fed, items = 0, []
    while not items:
        items = splitter.feed(piece)
        fed += 1 << 17
        assert fed <= websocket.MAX_MESSAGE + (1 << 17)
    assert isinstance(items[0], RemoteProtocolError)
    assert items[0].kind == "too_big"


def test_plain_texts_of_every_length_of_header_are_told_apart() -> None:
    """Several frames of one read come out one by one, each without its header."""
    items = Splitter().feed(frame("one") + frame("y" * 300) + frame("z" * 70_000))
    assert items == [b"one", b"y" * 300, b"z" * 70_000]


@pytest.mark.parametrize(("payload", "code"), [(b"", 1005), (b"\x03\xe9bye", 1001), (b"\x0f\xa0", 4000)])
def test_a_close_ends_the_conversation(payload: bytes, code: int) -> None:
    """Whatever follows a close frame is not looked at."""
    got, splitter = split([frame(payload, opcode=8) + frame("late")])
    assert got == [Close(code, payload[2:].decode())]
    assert not splitter.clean


@given(st.text(max_size=300) | st.just("long" * 20_000))
def test_a_text_sent_is_masked_and_reads_back(message: str) -> None:
    """A strict server reads what we send, at every length of header."""
    server = FrameProtocol(client=False, extensions=[])
    server.receive_bytes(websocket.text(message))
    assert "".join(str(got.payload) for got in server.received_frames()) == message


@given(CONTROLS)
def test_a_pong_repeats_the_pings_payload(payload: bytes) -> None:
    """A pong carries what its ping carried."""
    server = FrameProtocol(client=False, extensions=[])
    server.receive_bytes(websocket.pong(payload))
    assert [(got.opcode, bytes(got.payload)) for got in server.received_frames()] == [(Opcode.PONG, payload)]


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_a_close_sent_carries_its_code(code: int) -> None:
    """The code 1005 stands for none and is not sent."""
    server = FrameProtocol(client=False, extensions=[])
    server.receive_bytes(websocket.close(code))
    assert [int(got.payload[0]) for got in server.received_frames()] == [code]
