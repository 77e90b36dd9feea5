"""The machine, sans I/O: what follows what, what time brings, and that no server can break it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.cable import frames
from loadkit.cable.happenings import (
    Confirmed,
    Deaf,
    Disconnected,
    Happening,
    PingGap,
    PresenceEcho,
    Rejected,
    RemoteError,
    Say,
    Stale,
    Unconfirmed,
    Unwelcomed,
    Welcomed,
)
from loadkit.cable.protocol import TRANSITIONS, Input, Machine, State
from loadkit.errors import LocalProtocolError

OURS = '{"channel":"RoomChannel","pubsub_token":"a"}'
OTHERS = '{"pubsub_token":"a","channel":"RoomChannel"}'
S = 1_000_000
WELCOME, PING, CONFIRM = frames.Welcome(), frames.Ping(1), frames.Confirm(OURS)
PRESENCE = frames.Data(OURS, "presence.update", b"{}")


def machine(state: State = State.CONFIRMED, **options: float) -> Machine:
    """Return a machine driven to a state, everything at time 0."""
    made = Machine(OURS, now_us=0, **options)  # type: ignore[arg-type]
    steps = {
        State.OPEN: lambda: made.opened(0),
        State.WELCOMED: lambda: made.receive(WELCOME, 0),
        State.SUBSCRIBING: lambda: made.subscribe(0),
        State.CONFIRMED: lambda: made.receive(CONFIRM, 0),
    }
    if state is State.CLOSED:
        made.close()
        return made
    for reached, step in steps.items():
        if made.state is state:
            break
        step()
        assert made.state is reached
    if state is State.REJECTED:
        made.receive(frames.Reject(OURS), 0)
    assert made.state is state
    return made


def keep_hearing(made: Machine, until_us: int, *, start_us: int = 0) -> list[Happening]:
    """Ping every 3 s and tick every second; return all that happens but the pings' gaps."""
    seen: list[Happening] = []
    for now in range(start_us + S, until_us + 1, S):
        if now % (3 * S) == 0:
            seen += made.receive(PING, now)
        seen += made.tick(now)
    return [happening for happening in seen if not isinstance(happening, PingGap)]


def test_the_way_to_a_confirmed_subscription() -> None:
    """Welcome, subscribe, confirmation, each with its time."""
    made = Machine(OURS, now_us=100)
    made.opened(150)
    assert made.receive(WELCOME, 350) == (Welcomed(200),)
    (said,) = made.subscribe(400)
    assert isinstance(said, Say)
    assert json.loads(said.text) == {"command": "subscribe", "identifier": OURS}
    assert made.receive(CONFIRM, 1400) == (Confirmed(1400, 1000),)
    assert made.state is State.CONFIRMED


def test_a_broadcast_may_come_before_the_confirmation() -> None:
    """The server joins the stream first."""
    made = machine(State.SUBSCRIBING)
    assert made.receive(PRESENCE, 1) == ()
    assert made.receive(CONFIRM, 2) == (Confirmed(2, 2),)


def test_a_second_confirmation_is_harmless() -> None:
    """It happens on the real server, rarely."""
    made = machine()
    assert made.receive(CONFIRM, 5) == ()
    assert made.state is State.CONFIRMED


@pytest.mark.parametrize("frame", [frames.Confirm(OTHERS), frames.Reject(OTHERS), frames.Data(OTHERS, "message.created", b"{}")])
@pytest.mark.parametrize("state", [State.SUBSCRIBING, State.CONFIRMED])
def test_what_is_meant_for_another_identifier_is_an_error_that_changes_nothing(frame: frames.Frame, state: State) -> None:
    """Identifiers are compared byte for byte: the same parameters in another order are another subscription."""
    made = machine(state)
    (error,) = made.receive(frame, 1)
    assert isinstance(error, RemoteError)
    assert error.kind == "foreign_identifier"
    assert "pubsub" not in error.text
    assert made.state is state


def test_a_rejection_is_told() -> None:
    """Other servers than ours do reject."""
    made = machine(State.SUBSCRIBING)
    assert made.receive(frames.Reject(OURS), 1) == (Rejected(),)


def test_a_disconnect_says_whether_coming_back_makes_sense() -> None:
    """The machine is closed, and deaf to all that follows."""
    made = machine()
    assert made.receive(frames.Disconnect("server_restart", True), 1) == (Disconnected("server_restart", True),)
    assert made.state is State.CLOSED
    assert made.receive(PING, 2) == ()


@pytest.mark.parametrize("state", list(State))
def test_commands_out_of_turn_are_our_fault(state: State) -> None:
    """Each state allows exactly the commands that its row of the table names."""
    commands = {
        Input.OPENED: lambda made: made.opened(0),
        Input.SUBSCRIBE: lambda made: made.subscribe(0),
        Input.PERFORM: lambda made: made.perform("update_presence", 0),
        Input.CLOSE: lambda made: made.close(),
    }
    for event, command in commands.items():
        made = machine(state)
        if event in TRANSITIONS[state]:
            command(made)
            assert made.state is TRANSITIONS[state][event]
        else:
            with pytest.raises(LocalProtocolError):
                command(made)
            assert made.state is state


SAID = st.one_of(
    st.just(WELCOME),
    st.just(PING),
    st.sampled_from([OURS, OTHERS]).map(frames.Confirm),
    st.sampled_from([OURS, OTHERS]).map(frames.Reject),
    st.builds(frames.Disconnect, st.none() | st.text(max_size=5), st.booleans()),
    st.builds(frames.Data, st.sampled_from([OURS, OTHERS]), st.sampled_from(["", "presence.update"]), st.just(b"{}")),
    st.builds(frames.Unknown, st.text(max_size=5)),
)


@given(st.sampled_from(list(State)), st.lists(st.tuples(SAID, st.integers(-S, 30 * S), st.booleans()), max_size=40))
def test_nothing_a_server_says_at_any_time_raises(state: State, script: list[tuple[frames.Frame, int, bool]]) -> None:
    """Whatever comes in whatever order, states change along the table only, and closed is final."""
    made, now = machine(state), 0
    for frame, later, ticks in script:
        before = made.state
        now += max(0, later)
        said = made.receive(frame, now + min(0, later))
        if made.state is not before:
            assert made.state in TRANSITIONS[before].values()
        if before is State.CLOSED:
            assert said == ()
        if ticks:
            before = made.state
            made.tick(now)
            assert made.state is before or made.state in TRANSITIONS[before].values()


@given(st.lists(st.tuples(SAID, st.integers(0, 8 * S)), max_size=30))
def test_a_tick_before_it_is_due_says_nothing(script: list[tuple[frames.Frame, int]]) -> None:
    """`due_us` may be trusted: nobody has to look at a quiet cable before that."""
    made, now = machine(presence_us=20 * S), 0
    for frame, later in script:
        now += later
        if now < made.due_us:
            assert made.tick(now) == ()
        else:
            made.tick(now)
        made.receive(frame, now)


def test_no_welcome_in_time() -> None:
    """The deadline counts from the beginning of the connection."""
    made = machine(State.OPEN, welcome_within_us=2 * S)
    assert made.due_us == 2 * S
    assert made.tick(2 * S - 1) == ()
    assert made.tick(2 * S) == (Unwelcomed(),)
    assert made.state is State.CLOSED


def test_no_confirmation_in_time() -> None:
    """Pings go on, as they do on a server whose subscriptions die silently."""
    made = machine(State.SUBSCRIBING, confirm_within_us=10 * S)
    assert keep_hearing(made, 9 * S) == []
    assert made.tick(10 * S) == (Unconfirmed(),)
    assert made.state is State.CLOSED


def test_a_frame_of_any_kind_keeps_a_cable_from_going_stale() -> None:
    """Six seconds without a single frame end it, as in the stock client."""
    made = machine(presence_us=0)
    made.receive(frames.Unknown("news"), 5 * S)
    assert made.tick(11 * S - 1) == ()
    assert made.tick(11 * S) == (Stale(),)
    assert made.state is State.CLOSED


def test_gaps_are_between_pings() -> None:
    """The first ping has none."""
    made = machine()
    assert [made.receive(PING, at) for at in (S, 4 * S, 8 * S)] == [(), (PingGap(3 * S),), (PingGap(4 * S),)]


@pytest.mark.parametrize("phase", [0.0, 0.5, 0.999])
def test_presence_is_refreshed_every_period_and_the_first_time_is_spread(phase: float) -> None:
    """Never right behind the confirmation, where the subscription's own frame would pass for the echo."""
    made, asked = machine(presence_us=20 * S, phase=phase), []
    for now in range(0, 65 * S, S // 10):
        if now % (3 * S) == 0:
            made.receive(PING, now)
        if any(isinstance(happening, Say) for happening in made.tick(now)):
            asked.append(now)
            made.receive(PRESENCE, now + 1)
    assert 5 * S <= asked[0] <= 20 * S
    assert {later - earlier for earlier, later in pairwise(asked)} == {20 * S}


def test_the_echo_is_the_next_presence_after_asking() -> None:
    """Presence that was not asked for is no echo, a second one neither, nor one stamped before the asking."""
    made = machine()
    assert made.receive(PRESENCE, 1) == ()
    made.perform("update_presence", 10)
    assert made.presence(9) == ()
    assert made.receive(PRESENCE, 60) == (PresenceEcho(50),)
    assert made.receive(PRESENCE, 70) == ()


def test_deaf_is_told_once_until_an_echo_returns() -> None:
    """Open and pinged, and yet two periods without an answer: what a restarted Redis does to a whole process."""
    made = machine(presence_us=20 * S, phase=0.0)
    happened = keep_hearing(made, 120 * S)
    assert happened.count(Deaf()) == 1
    assert made.receive(PRESENCE, 121 * S) == (PresenceEcho(116 * S),)
    assert keep_hearing(made, 240 * S, start_us=121 * S).count(Deaf()) == 1


def test_an_answered_cable_is_never_deaf() -> None:
    """An echo in the second period is late, but it is one."""
    made = machine(presence_us=20 * S, phase=0.0)
    for at in range(40, 400, 20):
        assert Deaf() not in keep_hearing(made, at * S, start_us=(at - 20) * S)
        made.receive(PRESENCE, at * S)
