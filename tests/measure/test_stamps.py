"""Errors of stamps: exact percentiles, and a constant offset told from queues and networks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.measure.stamps import GRAIN_US, Errors, clock_offset_us


@given(st.lists(st.integers(-(10**6), 10**7), min_size=1, max_size=300))
def test_percentiles_are_values_at_their_ranks(errors: list[int]) -> None:
    """Nearest rank, signed, whatever the order."""
    found, ascending = Errors.of(errors), sorted(errors)
    assert found.count == len(errors)
    assert found.max == ascending[-1]
    for percent, value in ((50, found.p50), (90, found.p90), (99, found.p99)):
        assert value == ascending[-(-percent * len(errors) // 100) - 1]
    assert found.impossible == sum(error < -GRAIN_US for error in errors)


def test_no_errors_are_no_figures() -> None:
    """A class without replies has None, not 0."""
    assert Errors.of([]) == Errors(0, None, None, None, None, None)
    assert clock_offset_us([]) is None


def errors_like_ours(rng: random.Random) -> list[int]:
    return [rng.choice((4, 5, 6, 9)) if rng.random() < 0.98 else rng.randrange(3000) for _ in range(2000)]


@pytest.mark.parametrize("shift", [-3_600_000_000, -50_000, -1000, 1000, 50_000, 3_600_000_000])
def test_a_shifted_clock_is_found_and_measured(shift: int) -> None:
    """What every error shares is the clocks' difference, to within the errors themselves."""
    offset = clock_offset_us([error + shift for error in errors_like_ours(random.Random(1))])
    assert offset is not None
    assert abs(offset - shift) <= 9


def test_one_clock_has_no_offset() -> None:
    """Neither quick stamps, nor slow ones that spread, nor a near network are two clocks."""
    rng = random.Random(2)
    assert clock_offset_us(errors_like_ours(rng)) is None
    assert clock_offset_us([round(rng.expovariate(1 / 80_000)) for _ in range(500)]) is None
    assert clock_offset_us([250 + rng.randrange(60) for _ in range(500)]) is None
