"""The waiting times of each policy, without a clock."""

from __future__ import annotations

import math
import random

import pytest

from loadkit.cable.reconnect import RECONNECT, STALE, ReconnectPolicy, immediate, policy, stock_6_1, stock_7_0
from loadkit.errors import SettingsError

DRAWS = 400


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(7)


def waits(of: ReconnectPolicy, number: int, *, reason: str = "eof", took: float = 0.0) -> list[float]:
    """Return the first waits after a drop when every try takes as long to fail."""
    each = of(reason)
    return [next(each), *(each.send(took) for _ in range(number - 1))]


def test_immediate_means_at_once_and_then_with_patience() -> None:
    """From 1 s doubling to 30 s, jittered so that thousands do not come back in step."""
    drawn = [waits(immediate, 61) for _ in range(50)]
    assert {each[0] for each in drawn} == {0.0}
    for failed, longest in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (60, 30)]:
        those = {each[failed] for each in drawn}
        assert longest / 2 <= min(those) < max(those) <= longest


def test_policies_have_names() -> None:
    """An unknown one is refused in a sentence that lists them."""
    assert list(RECONNECT) == ["immediate", "never", "stock-6.1", "stock-7.0"]
    assert policy("never") is None
    assert policy("stock-6.1") is stock_6_1
    with pytest.raises(SettingsError, match=r"immediate, never, stock-6\.1, stock-7\.0"):
        policy("eventually")


def test_stock_6_1_looks_at_intervals_that_grow_with_the_logarithm() -> None:
    """First 6 s to 6 s and two looks; then 5·ln(n+1), not below 3 s, where half of the first waits have used up a step already."""
    drawn = [waits(stock_6_1, 8) for _ in range(DRAWS)]
    first = [each[0] for each in drawn]
    assert 6.0 < min(first) < 6.3
    assert 9.2 < max(first) < 6.0 + 5 * math.log(2)
    ladder = [5 * math.log(n + 1) for n in range(1, 10)]
    skipped = [each[1] > ladder[0] + 1e-9 for each in drawn]
    assert all(each[1:] == pytest.approx(ladder[more : more + 7]) for each, more in zip(drawn, skipped, strict=True))
    assert 0.4 < sum(skipped) / DRAWS < 0.6
    assert waits(stock_6_1, 450)[-1] == pytest.approx(30.0)


def test_stock_7_0_looks_at_intervals_that_grow_by_15_percent() -> None:
    """First 6 s and more, for the look before it is 6 to 12 s apart; then 6·1.15ⁿ s with 15 % of jitter, the same from the tenth on."""
    drawn = [waits(stock_7_0, 14) for _ in range(DRAWS)]
    first = sorted(each[0] for each in drawn)
    assert 6.0 <= first[0] < 6.3
    assert first[DRAWS // 2] < 12.0 < first[-1] < 18.0
    for n in range(1, 14):
        those = [each[n] for each in drawn]
        assert 6.0 * 1.15 ** min(n, 10) <= min(those)
        assert max(those) <= 6.0 * 1.15 ** (min(n + 1, 10) + 1)
        assert max(those) / min(those) > 1.1


@pytest.mark.parametrize(("of", "longest"), [(stock_6_1, 3.5), (stock_7_0, 12.5)])
def test_stock_clients_find_silence_at_their_next_look(of: ReconnectPolicy, longest: float) -> None:
    """Six seconds of silence are over when it is told: what is left is the rest of an interval, and half a second for the closing."""
    first = [waits(of, 1, reason=STALE)[0] for _ in range(DRAWS)]
    assert 0.5 <= min(first) < 0.7
    assert longest * 0.85 < max(first) <= longest


@pytest.mark.parametrize("of", [stock_6_1, stock_7_0])
def test_a_try_that_takes_long_does_not_stop_the_looks(of: ReconnectPolicy) -> None:
    """The wait after it is what is left until the next look, shorter than an interval and never below nothing."""
    slow = [wait for _ in range(DRAWS) for wait in waits(of, 5, took=8.0)[1:]]
    assert 0.0 <= min(slow) < 1.0
    assert max(slow) < max(wait for _ in range(DRAWS) for wait in waits(of, 8)[1:])
