"""Our buckets against the HdrHistogram library's, and percentiles against sorted values."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadkit.measure.histogram import BUCKETS, HIGHEST_US, QUALITIES, Histogram, bucket_of, highest_in

HDR = HdrHistogram(1, HIGHEST_US, 3)
EDGES = sorted(
    {value for power in range(32) for value in (2**power - 1, 2**power, 2**power + 1) if value <= HIGHEST_US}
    | {0, 2046, 2047, 2048, 2049, 4095, 4096, HIGHEST_US - 1, HIGHEST_US}
)
values = st.one_of(st.integers(0, 5000), st.integers(0, HIGHEST_US), st.sampled_from(EDGES))
percents = st.one_of(st.sampled_from([0, 50, 90, 95, 99, 99.9, 99.99, 100]), st.floats(0, 100))


def filled(samples: list[int]) -> Histogram:
    histogram = Histogram()
    for value in samples:
        histogram.record(value)
    return histogram


def layout(value: int) -> tuple[int, int]:
    return HDR.get_counts_array_index(value), HDR.get_highest_equivalent_value(value)


@pytest.mark.parametrize("value", EDGES)
def test_the_layout_at_its_edges(value: int) -> None:
    """Around every power of two the bucket and its highest value are the library's."""
    assert (bucket_of(value), highest_in(bucket_of(value))) == layout(value)


@given(values)
def test_the_layout_anywhere(value: int) -> None:
    """Bucket and highest equivalent value are the library's, and the value recorded goes into that bucket."""
    assert (bucket_of(value), highest_in(bucket_of(value))) == layout(value)
    assert filled([value]).counts == {bucket_of(value): 1}


def test_the_number_of_buckets_is_the_librarys() -> None:
    """A payload of the one fits into the other."""
    assert HDR.counts_len == BUCKETS
    assert bucket_of(HIGHEST_US) < BUCKETS


@given(st.lists(values, min_size=1, max_size=60), percents)
def test_percentiles_are_nearest_rank_at_the_highest_equivalent_value(samples: list[int], percent: float) -> None:
    """The smallest value that at least so many percent of all values do not exceed, as its bucket shows it."""
    rank = max(1, math.ceil(Fraction(str(percent)) * len(samples) / 100))
    expected = HDR.get_highest_equivalent_value(sorted(samples)[rank - 1])
    histogram = filled(samples)
    assert histogram.percentile(percent) == expected
    assert histogram.percentiles([100, percent, 0]) == [histogram.max_us, expected, histogram.min_us]


def test_a_rank_of_many_values_is_exact() -> None:
    """A rank that floats get wrong by one: 99.9 % of ten million is the value before the step, not after it."""
    below = 9_990_000
    histogram = Histogram({5: below, 900: 10}, below + 10, 0)
    histogram.counts[900], histogram.count = 10_000, below + 10_000
    assert histogram.percentile(99.9) == 5
    assert histogram.percentile(99.90001) == 900


@pytest.mark.parametrize("percent", [-1, 100.1])
def test_there_is_no_percentile_outside_0_to_100(percent: float) -> None:
    """Such a question is ours to refuse."""
    with pytest.raises(ValueError, match="no percentile"):
        filled([1]).percentile(percent)


@given(st.lists(st.lists(values, max_size=20), max_size=6), st.randoms())
def test_merging_any_split_equals_all_together(parts: list[list[int]], random: object) -> None:
    """Histograms are the currency between processes: adding is exact, in any order."""
    merged = Histogram()
    order = list(parts)
    random.shuffle(order)  # type: ignore[attr-defined]
    for part in order:
        merged.add(filled(part))
    assert merged == filled([value for part in parts for value in part])


@pytest.mark.parametrize("value", [-1, HIGHEST_US + 1, 10**15])
def test_what_is_out_of_range_is_counted_and_in_nothing_else(value: int) -> None:
    """Neither count, mean, percentile nor stamp quality sees an overflow; it has its own count."""
    histogram = Histogram()
    histogram.record(value, "exact")
    assert histogram == Histogram(over=1)
    assert (histogram.mean_us, histogram.max_us, histogram.min_us, histogram.percentile(50)) == (None, None, None, None)


def test_of_many_values_only_those_out_of_range_are_overflows() -> None:
    """The values beside them are recorded as ever, with their quality."""
    together, one_by_one = Histogram(), Histogram()
    several = [-1, 5, HIGHEST_US + 1, 5, 70_000]
    together.record_all(several, "bounded")
    for value in several:
        one_by_one.record(value, "bounded")
    assert together == one_by_one
    assert (together.count, together.over, together.bounded, together.sum_us) == (3, 2, 3, 70_010)


def test_qualities_add_up_to_the_count() -> None:
    """Every value with a receive stamp has one quality; another word is refused."""
    histogram = Histogram()
    for quality in (*QUALITIES, "exact"):
        histogram.record(10, quality)
    assert (histogram.count, histogram.exact, histogram.bounded, histogram.user_space) == (4, 2, 1, 1)
    with pytest.raises(ValueError, match="no quality"):
        histogram.record(10, "guessed")


@given(st.lists(values, min_size=1, max_size=50))
def test_the_mean_is_exact(samples: list[int]) -> None:
    """The mean does not come from buckets."""
    histogram = filled(samples)
    assert histogram.mean_us == sum(samples) / len(samples)
    assert histogram.sum_us == sum(samples)


@given(st.lists(values, min_size=1, max_size=50), values)
def test_the_share_above_a_limit(samples: list[int], limit: int) -> None:
    """Only values in buckets wholly above the limit are above it."""
    above = sum(bucket_of(value) > bucket_of(limit) for value in samples)
    assert filled(samples).over_share(limit) == above / len(samples)
    assert Histogram().over_share(limit) is None
