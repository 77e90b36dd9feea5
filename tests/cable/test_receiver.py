"""What the receiver makes of bytes on a real socket: texts, stamps, counts, and everything that must not stop it."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable

import gevent
import pytest

from loadkit import clock
from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from loadkit.errors import LocalProtocolError
from tests.cable.notes import Notes
from tests.cable.peer import IDENTIFIER, PING, Conn, Peer, broadcast, frame
from tests.support import eventually

Peers = Callable[..., Peer]
Cables = Callable[..., Cable]
MARKED = {"echo_id": "lk1:0001"}

both = pytest.mark.parametrize("receiver", ["epoll", "portable"], indirect=True)


@pytest.fixture
def conn(peers: Peers, cables: Cables) -> Conn:
    """Return the server's end of a confirmed cable."""
    peer = peers()
    cables(peer, reconnect="never").open()
    return peer.conns[0]


def heard(receiver: Receiver, event: str, count: int) -> bool:
    return receiver.frames.get(event, (0, 0))[0] >= count


SPELLINGS = {
    "as Rails spells it": broadcast("message.created", MARKED),
    "with spaces": json.dumps({"identifier": IDENTIFIER, "message": {"event": "message.created", "data": MARKED}}),
    "over lines": json.dumps({"identifier": IDENTIFIER, "message": {"event": "message.created", "data": MARKED}}, indent=2),
    "message first": json.dumps({"message": {"event": "message.created", "data": MARKED}, "identifier": IDENTIFIER}),
    "data first, holding another event": json.dumps(
        {"message": {"data": MARKED | {"event": "wrong"}, "event": "message.created"}, "identifier": IDENTIFIER}
    ),
    "escaped": broadcast("message.created", MARKED).replace("message.created", "message\\u002ecreated"),
}


@both
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_event_has_its_name_however_its_json_is_spelled(receiver: Receiver, notes: Notes, conn: Conn, spelling: str) -> None:
    """The learned beginning is a short cut, never a belief: told twice and in turn with another spelling, it is the same event."""
    text, usual = SPELLINGS[spelling], SPELLINGS["as Rails spells it"]
    for said in (text, text, usual, text):
        conn.text(said)
    eventually(lambda: heard(receiver, "message.created", 4))
    assert [(payload.decode(), event) for payload, event, _, _ in notes.of("marked")] == [
        (said, "message.created") for said in (text, text, usual, text)
    ]
    assert receiver.frames["message.created"] == (4, sum(len(said) for said in (text, text, usual, text)))


@both
def test_every_frame_is_counted_by_name_and_size(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """Typed frames by their type, broadcasts by their event, unknown ones included; only what cannot be read is `?`."""
    said = {
        "ping": [PING] * 3 + ['{ "type": "ping", "message": 5 }'],
        "presence.update": [broadcast("presence.update", {})],
        "conversation.updated": [broadcast("conversation.updated", {"a": "é"})] * 2,
        "fork.invented_this": [broadcast("fork.invented_this")],
        "news": ['{"type":"news"}'],
        "?": ["not json", broadcast("").replace('"event":"",', "")],
    }
    for texts in said.values():
        for text in texts:
            conn.text(text)
    eventually(lambda: heard(receiver, "?", 2))
    expected = {name: (len(texts), sum(len(text.encode()) for text in texts)) for name, texts in said.items()}
    assert {name: count for name, count in receiver.frames.items() if name in expected} == expected
    assert set(receiver.frames) - set(expected) == {"welcome", "confirm_subscription"}
    assert [kind for kind, _ in notes.of("remote_error")] == ["not_json"]


def test_names_that_a_server_invents_without_end_do_not_fill_the_memory(receiver: Receiver, conn: Conn) -> None:
    """Past some hundreds they are counted together, none is lost."""
    for number in range(1000):
        conn.text(broadcast(f"event.{number}"))
    eventually(lambda: sum(count for count, _ in receiver.frames.values()) == 1002)
    assert len(receiver.frames) < 300
    assert receiver.frames["?"][0] > 700


@both
def test_only_broadcasts_with_the_needle_are_handed_over(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """Its place in the frame does not matter, and other subscriptions' frames are not ours."""
    conn.text(broadcast("message.created", {"echo_id": "someone else's"}))
    conn.text(broadcast("message.updated", {"content_attributes": {"deep": ["lk1:x"]}}))
    conn.text(broadcast("message.created", MARKED, identifier="another"))
    conn.text(broadcast("message.created", MARKED))
    eventually(lambda: heard(receiver, "message.created", 3))
    assert [event for _, event, _, _ in notes.of("marked")] == ["message.updated", "message.created"]
    assert [kind for kind, _ in notes.of("remote_error")] == ["foreign_identifier"]


@both
def test_fragments_pings_and_binary_between_texts(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """The slow path gives the same events, answers the ping and counts the binary frame as the server's fault."""
    text = broadcast("message.created", MARKED).encode()
    pieces = frame(text[:30], fin=False) + frame(b"are you there", opcode=9) + frame(text[30:], opcode=0)
    for at in range(0, len(pieces), 17):
        conn.send(pieces[at : at + 17])
    conn.send(frame(b"\x00\x01", opcode=2) + frame(text))
    eventually(lambda: len(notes.of("marked")) == 2)
    assert [payload for payload, *_ in notes.of("marked")] == [text, text]
    assert eventually(lambda: [payload for opcode, payload in conn.heard if opcode == 10]) == [b"are you there"]
    assert [kind for kind, _ in notes.of("remote_error")] == ["binary_frame"]


@both
def test_frames_larger_than_any_buffer(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """An agent's presence frame grows with the contacts online; what comes behind it is read as well."""
    text = broadcast("message.created", {"echo_id": "lk1:1", "content": "é" * 500_000})
    threading.Thread(target=lambda: conn.send(frame(text) + frame(PING)), daemon=True).start()
    eventually(lambda: heard(receiver, "ping", 1))
    assert [payload.decode() for payload, *_ in notes.of("marked")] == [text]


# Stamps.


def send_while_the_hub_is_blocked(conn: Conn, block_s: float) -> tuple[int, int]:
    """Send a marked frame at the beginning of a block; return when it was about to leave, and when the block was over."""
    sent: list[int] = []
    done = threading.Event()

    def say() -> None:
        sent.append(clock.now_us())
        conn.text(broadcast("message.created", MARKED | {"n": len(sent)}))
        done.set()

    threading.Thread(target=say).start()
    assert done.wait(5)
    threading.Event().wait(block_s)  # an OS thread's wait: nothing of gevent runs meanwhile
    return sent[0], clock.now_us()


@pytest.mark.alone
def test_a_blocked_hub_does_not_delay_an_exact_stamp(receiver: Receiver, notes: Notes, conn: Conn, lags: list[int]) -> None:
    """The kernel's stamp lies by the sending, not by the reading 200 ms later; the read lag tells how long it waited."""
    conn.text(broadcast("message.created", MARKED))  # learned; the first stamps of a host may come before they are switched on
    eventually(lambda: len(notes.of("marked")) == 1)
    sent_us, read_after_us = send_while_the_hub_is_blocked(conn, 0.2)
    eventually(lambda: len(notes.of("marked")) == 2)
    _, _, received_us, quality = notes.of("marked")[1]
    assert quality == "exact"
    assert sent_us - 1000 <= received_us < read_after_us
    assert (received_us - sent_us) * 10 < read_after_us - sent_us
    assert max(lags) > (read_after_us - received_us) * 0.9


@pytest.mark.parametrize("receiver", ["portable"], indirect=True)
def test_without_kernel_stamps_a_blocked_hub_delays_the_stamp_and_it_says_so(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """What the kernel's stamps are for."""
    _, read_after_us = send_while_the_hub_is_blocked(conn, 0.05)
    eventually(lambda: len(notes.of("marked")) == 1)
    _, _, received_us, quality = notes.of("marked")[0]
    assert quality == "user_space"
    assert received_us >= read_after_us
    assert not receiver.kernel_stamps


def test_of_a_merged_read_only_the_last_frame_is_exact(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """The kernel keeps one stamp for all it merged: the earlier frames' is an upper bound."""
    conn.send(b"".join(frame(broadcast("message.created", MARKED | {"n": n})) for n in range(4)))
    eventually(lambda: len(notes.of("marked")) == 4)
    assert [quality for *_, quality in notes.of("marked")] == ["bounded"] * 3 + ["exact"]
    assert len({received for _, _, received, _ in notes.of("marked")}) == 1


@pytest.mark.parametrize("behind", [frame(b"", opcode=9), frame(PING)[:5], frame(PING)])
def test_a_frame_with_bytes_behind_it_is_not_exact(receiver: Receiver, notes: Notes, conn: Conn, behind: bytes) -> None:
    """Even one byte of a next frame may have moved the stamp."""
    conn.send(frame(broadcast("message.created", MARKED)) + behind)
    eventually(lambda: notes.of("marked"))
    assert [quality for *_, quality in notes.of("marked")] == ["bounded"]


def test_a_frame_in_several_reads_has_the_stamp_of_its_last_byte(receiver: Receiver, notes: Notes, conn: Conn) -> None:
    """A page could not show it any earlier."""
    whole = frame(broadcast("message.created", MARKED))
    conn.send(whole[:40])
    link = next(iter(receiver._links.values()))
    eventually(lambda: link.splitter is not None)
    between_us = clock.now_us()
    conn.send(whole[40:])
    eventually(lambda: notes.of("marked"))
    _, _, received_us, quality = notes.of("marked")[0]
    assert quality == "exact"
    assert received_us >= between_us - 1000


@pytest.mark.parametrize("step_s", [-3600, -2, 2, 3600])
def test_a_stepped_wall_clock_makes_a_stamp_user_space_never_wrong(receiver: Receiver, notes: Notes, conn: Conn, step_s: int) -> None:
    """A kernel stamp that lies outside what is possible is not believed."""
    link = next(iter(receiver._links.values()))
    read = link.read

    def stepped(*arguments: object) -> object:
        size, ancillary, flags, address = read(*arguments)
        moved = [
            (level, kind, (int.from_bytes(data[:8], "little") + step_s).to_bytes(8, "little") + data[8:]) for level, kind, data in ancillary
        ]
        return size, moved, flags, address

    link.read = stepped
    before_us = clock.now_us()
    conn.text(broadcast("message.created", MARKED))
    eventually(lambda: notes.of("marked"))
    _, _, received_us, quality = notes.of("marked")[0]
    assert quality == "user_space"
    assert before_us <= received_us <= clock.now_us()


# What must not stop it.


class Bursting(Notes):
    """A watcher whose reports raise."""

    def marked(self, *arguments: object) -> None:  # type: ignore[override]
        raise KeyError("a bug of ours")

    def ping_gap(self, *arguments: object) -> None:  # type: ignore[override]
        raise OSError("another")


@both
def test_an_exception_of_a_callback_costs_one_cable_and_no_other(receiver: Receiver, notes: Notes, peers: Peers, cables: Cables) -> None:
    """It must not leave the loop's watcher: that would make the whole process deaf."""
    peer, bursting = peers(), Bursting()
    bad = cables(peer, watcher=bursting, reconnect="never")
    bad.open()
    cables(peer).open()
    first, second = peer.conns
    first.text(PING), first.text(PING)
    eventually(lambda: bursting.of("failed"))
    assert bad.is_confirmed, "a report that raises costs that report only"
    first.text(broadcast("message.created", MARKED))
    eventually(lambda: bursting.of("dropped"))
    assert [type(error) for (error,) in bursting.of("failed")] == [OSError, KeyError]
    assert bursting.of("dropped") == [("failed",)]
    assert receiver.held == 1
    second.text(broadcast("message.created", MARKED))
    eventually(lambda: notes.of("marked"))


def test_an_exception_of_the_lag_report_stops_nothing(peers: Peers, notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    """gevent prints it; frames keep coming."""

    def burst(lag_us: int) -> None:
        raise ValueError("in the lag report")

    receiver, peer = Receiver(b"lk1:", read_lag=burst), peers()
    cable = Cable(peer.url, IDENTIFIER, receiver=receiver, watcher=notes)
    cable.open()
    peer.conns[0].text(broadcast("message.created", MARKED))
    eventually(lambda: notes.of("marked"))
    cable.close()
    receiver.close()
    assert "in the lag report" in capsys.readouterr().err


@both
def test_a_cable_closed_by_a_callback_of_its_own_batch(receiver: Receiver, notes: Notes, peers: Peers, cables: Cables) -> None:
    """Sockets that were ready in the same batch and are gone by their turn are skipped."""
    opened: list[Cable] = []

    class Closing(Notes):
        def marked(self, cable: Cable, *arguments: object) -> None:  # type: ignore[override]
            super().marked(cable, *arguments)
            for each in opened:
                each.close()

    peer, closing = peers(), Closing()
    for _ in range(5):
        opened.append(cables(peer, watcher=closing))
        opened[-1].open()
    for conn in peer.conns:
        conn.send(frame(broadcast("message.created", MARKED)) * 3)
    eventually(lambda: closing.of("marked"))
    eventually(lambda: receiver.held == 0)
    assert len(closing.of("marked")) == 1
    assert closing.of("dropped") == closing.of("failed") == []


@both
def test_a_peer_that_does_not_read_is_dropped_and_one_that_reads_late_is_not(
    receiver: Receiver, notes: Notes, peers: Peers, cables: Cables
) -> None:
    """Up to 64 KiB wait here, above what the kernel holds; nothing ever blocks, all in order."""
    reading = threading.Event()

    def late(conn: Conn) -> None:
        conn.read_request()
        conn.upgrade(glued=frame('{"type":"welcome"}'))
        conn.wait_for(1)
        conn.text('{"type":"confirm_subscription","identifier":' + json.dumps(IDENTIFIER) + "}")
        reading.wait(10)
        conn.listen()

    peer = peers(late)
    cable = cables(peer, reconnect="never")
    cable.open()
    link = next(iter(receiver._links.values()))
    performed = 0
    while not link.queued:  # until the kernel's buffers are full
        cable.perform(f"action_{performed}")
        performed += 1
    reading.set()
    eventually(lambda: not link.queued, within=20)
    eventually(lambda: len(peer.conns[0].texts) == performed + 1, within=20)
    actions = [json.loads(command["data"])["action"] for command in peer.conns[0].commands[1:]]
    assert actions == [f"action_{number}" for number in range(performed)]

    reading.clear()
    stuck = cables(peer, reconnect="never")
    stuck.open()
    while stuck.is_confirmed:
        stuck.perform("x" * 1000)
    assert notes.of("dropped") == [("peer_does_not_read",)]
    assert stuck.drops == 1
    reading.set()


def test_a_closed_receiver_adopts_nothing(peers: Peers, notes: Notes) -> None:
    """The socket that was made for it is closed again, and the cable may say so."""
    receiver, peer = Receiver(b"lk1:"), peers()
    receiver.close()
    with pytest.raises(LocalProtocolError):
        Cable(peer.url, IDENTIFIER, receiver=receiver, watcher=notes).open()
    eventually(lambda: peer.conns and peer.conns[0].sock.fileno() == -1)


@both
def test_peers_that_talk_rubbish_cost_nobody_else_anything(receiver: Receiver, notes: Notes, peers: Peers, cables: Cables) -> None:
    """Each of them is dropped or counted; the one that behaves is served throughout."""
    peer, rubbish = peers(), random.Random(7)
    steady = cables(peer)
    steady.open()
    for number in range(30):
        other = Notes()
        cables(peer, watcher=other, reconnect="never").open()
        noise = rubbish.randbytes(rubbish.randrange(1, 300)) if number % 2 else frame(rubbish.randbytes(50))
        peer.conns[-1].send(noise)
        peer.conns[-1].finish()
        eventually(lambda other=other: other.of("dropped"))  # type: ignore[misc]
        assert other.of("failed") == []
    peer.conns[0].text(broadcast("message.created", MARKED))
    eventually(lambda: notes.of("marked"))
    assert steady.is_confirmed
    assert receiver.held == 1


def test_the_receiver_leaves_no_greenlet_and_no_descriptor_behind(peers: Peers, notes: Notes) -> None:
    """One run's receiver is gone before the next one's is made."""
    receiver, peer = Receiver(b"lk1:"), peers()
    cable = Cable(peer.url, IDENTIFIER, receiver=receiver, watcher=notes)
    cable.open()
    ticker = receiver._ticker
    receiver.close()
    cable.close()
    assert receiver.held == 0
    assert isinstance(ticker, gevent.Greenlet)
    eventually(lambda: ticker.dead)
    eventually(peer.conns[0].ended.is_set)
