"""Faults as values: what can be written, and that the draw is exact, disjoint and seeded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.errors import SettingsError
from loadkit.sandbox.faults import REPLY_FAULTS, Faults

WRONG = [
    {"nonsense": "1%"},
    {"drop": "20of10"},
    {"drop": "0of10"},
    {"drop": "200%"},
    {"drop": "often"},
    {"drop": "1%:7s"},
    {"delay": "1%:soon"},
    {"5xx": "1%:404"},
    {"deaf": "1%"},
    {"never_confirm": "maybe"},
    {"stall": "long"},
    {"black_hole": "maybe"},
    {"slow_accept": "1%:never"},
    {"never_confirm": "5of4"},
    {"cut": "later"},
    {"drop": "60%", "swap": "60%"},
    {"drop": "6of10", "swap": "6of10"},
]


def drawn(faults: Faults, replies: int) -> list[str | None]:
    return [fault.name if (fault := faults.draw()) else None for _ in range(replies)]


@given(counts=st.lists(st.integers(1, 12), min_size=len(REPLY_FAULTS), max_size=len(REPLY_FAULTS)), seed=st.integers(0, 99))
def test_exact_faults_are_exact_and_disjoint(counts: list[int], seed: int) -> None:
    """Of the next hundred replies each kind gets its number, no reply two."""
    faults = Faults(seed)
    faults.set({name: f"{count}of100" for name, count in zip(REPLY_FAULTS, counts, strict=True)})
    wanted = Counter(dict(zip(REPLY_FAULTS, counts, strict=True)))
    found = Counter(drawn(faults, 100))
    assert found - Counter({None: found[None]}) == wanted
    assert drawn(faults, 100) == [None] * 100


@given(seed=st.integers(0, 2**32))
def test_the_same_seed_draws_the_same(seed: int) -> None:
    """Shares and exact positions repeat with their seed."""
    runs = []
    for _ in range(2):
        faults = Faults(seed)
        faults.set({"drop": "10%", "swap": "3of50", "delay": "20%"})
        runs.append(drawn(faults, 200))
    assert runs[0] == runs[1]


def test_windows_of_different_lengths_share_the_replies() -> None:
    """A fault over ten replies and one over a hundred both find their place, and one set later keeps clear of both."""
    faults = Faults(3)
    faults.set({"drop": "9of10", "swap": "80of100"})
    first = drawn(faults, 5)
    faults.set({"delay": "1of90"})
    found = Counter(first + drawn(faults, 100))
    assert (found["drop"], found["swap"], found["delay"]) == (9, 80, 1)


def test_a_window_counts_from_when_it_is_set() -> None:
    """Replies before the setting are not part of it; setting again replaces what was left."""
    faults = Faults(1)
    faults.set({"drop": "1of1"})
    faults.set({"drop": "5of5"})
    assert drawn(faults, 6) == ["drop"] * 5 + [None]


def test_what_one_reply_could_not_have_goes_to_a_later_one() -> None:
    """An exact fault that is given back is not lost; one drawn by a share is."""
    faults = Faults(1)
    faults.set({"misroute": "1of1"})
    fault = faults.draw()
    assert fault is not None
    faults.give_back(fault)
    assert drawn(faults, 2) == ["misroute", None]
    faults.set({"misroute": "100%"})
    fault = faults.draw()
    assert fault is not None
    faults.give_back(fault)
    faults.set({"misroute": "off"})
    assert drawn(faults, 2) == [None, None]


def test_values_carry_their_waits_and_codes() -> None:
    """What stands after the colon reaches the draw; without it the defaults do."""
    faults = Faults(1)
    faults.set({"delay": "1of1:250ms"})
    assert faults.draw() is not None
    faults.set({"delay": "1of1"})
    first = faults.draw()
    faults.set({"swap": "1of1"})
    second = faults.draw()
    faults.set({"5xx": "1of1:502"})
    third = faults.draw()
    assert first
    assert second
    assert third
    assert (first.wait_s, second.wait_s, third.code) == (7.0, 1.0, 502)


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_what_cannot_be_set_is_one_sentence_and_changes_nothing(values: dict[str, str]) -> None:
    """A bad value raises, and what was set before stays."""
    faults = Faults(1)
    faults.set({"duplicate": "5%"})
    with pytest.raises(SettingsError) as caught:
        faults.set(values)
    assert "\n" not in str(caught.value)
    assert faults.shown() == {"duplicate": "5%"}


def test_off_removes_and_the_rest_stays() -> None:
    """Faults are replaced one by one."""
    faults = Faults(1)
    faults.set({"drop": "1%", "deaf": "on", "never_confirm": "50%", "stall": "20s@30s"})
    faults.set({"drop": "off", "deaf": "off", "stall": "off"})
    assert faults.shown() == {"never_confirm": "50%"}
    assert (faults.deaf, faults.stalled_s()) == (False, 0.0)


def test_connections_and_subscriptions_are_drawn_apart() -> None:
    """Each of their faults has a draw of its own, exact, and none takes a reply's place."""
    faults = Faults(5)
    faults.set({"slow_accept": "3of10:1s", "slow_reader": "4of10:10ms", "never_confirm": "5of10", "drop": "10of10"})
    waits = [faults.accepted_after_s() for _ in range(20)]
    pauses = [faults.read_pause_s() for _ in range(20)]
    silent = [faults.unconfirmed() for _ in range(20)]
    assert (Counter(waits), Counter(pauses), Counter(silent)) == ({0.0: 17, 1.0: 3}, {0.0: 16, 0.01: 4}, {False: 15, True: 5})
    assert drawn(faults, 11) == ["drop"] * 10 + [None]
    assert faults.touched() == {"slow_accept": 3, "slow_reader": 4, "never_confirm": 5}


def test_a_black_hole_is_of_one_reply_or_of_everything() -> None:
    """A share or a count is drawn, "on" is a switch, and each replaces the other."""
    faults = Faults(1)
    faults.set({"black_hole": "1of1"})
    assert (faults.black_hole, faults.shown()) == (False, {"black_hole": "1of1"})
    faults.set({"black_hole": "on"})
    assert (faults.black_hole, faults.shown(), drawn(faults, 1)) == (True, {"black_hole": "on"}, [None])
    faults.set({"black_hole": "off"})
    assert (faults.black_hole, faults.shown()) == (False, {})
