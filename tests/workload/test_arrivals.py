"""The schedule of arrivals: its seed, its counts and its statistics; and who starts which of them."""

from __future__ import annotations

import math
from itertools import islice, pairwise
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.workload.arrivals import Schedule, Shares
from loadkit.workload.profile import Profile, Stage, arrivals, stages

SMALL = (
    st.lists(st.builds(Stage, st.sampled_from([0.0, 1.0, 7.5, 40.0]), st.sampled_from([0.0, 0.3, 2.0, 9.0])), min_size=1, max_size=5)
    .filter(lambda made: any(a.duration and (a.level or before.level) for before, a in pairwise([Stage(0, 0), *made])))
    .map(lambda made: Profile(tuple(made)))
)
RANKS = st.lists(st.integers(0, 5), unique=True, max_size=6)
CHANGES = st.lists(st.tuples(st.integers(0, 60), RANKS), max_size=8)
UP_AND_DOWN = "20s:8/s,30s:8/s,0s:2/s,20s:2/s,40s:0/s"


def starts(text: str, seed: int | str = 1, *, poisson: bool = True, first: int | None = None) -> list[float]:
    return [start for _, start in islice(Schedule(arrivals(text).profile, poisson=poisson, seed=seed), first)]


def farthest_from_exponential(gaps: list[float], mean: float) -> float:
    """Return Kolmogorov's distance, times the root of the count: above 1.95 in one of a thousand samples that are exponential."""
    count = len(gaps)
    expected = [-math.expm1(-gap / mean) for gap in sorted(gaps)]
    return max(max((n + 1) / count - p, p - n / count) for n, p in enumerate(expected)) * math.sqrt(count)


# Schedules.


def test_constant_arrivals_are_evenly_spaced() -> None:
    """Each in the middle of its slot, and closer together as the rate rises."""
    assert starts("2/s", poisson=False, first=4) == [0.25, 0.75, 1.25, 1.75]
    assert starts("0s:30/m,10s:30/m", poisson=False) == [1, 3, 5, 7, 9]
    assert starts("8s:1/s,8s:0/s", poisson=False) == pytest.approx(
        [4 * math.sqrt(n + 0.5) for n in range(4)] + [16 - 4 * math.sqrt(8 - n - 0.5) for n in range(4, 8)]
    )


def test_none_starts_at_the_end() -> None:
    """Two and a half slots of time have room for two arrivals: the third would start when all is over."""
    assert starts("0s:1/s,2500ms:1/s", poisson=False) == [0.5, 1.5]


@given(SMALL, st.floats(0, 1.2))
def test_a_constant_schedule_counts_like_the_area(profile: Profile, share: float) -> None:
    """Within one, at any moment."""
    schedule = Schedule(profile, poisson=False, seed=1)
    elapsed = share * profile.seconds
    assert abs(schedule.before(elapsed) - round(profile.area(elapsed))) <= 1


@given(SMALL, st.booleans(), st.integers(0, 3))
def test_a_schedule_is_in_order_and_within_its_profile(profile: Profile, poisson: bool, seed: int) -> None:
    """Numbered from 0 without a gap, each while somebody is meant to come, and the same whenever it is asked."""
    schedule = Schedule(profile, poisson=poisson, seed=seed)
    made = list(schedule)
    assert [n for n, _ in made] == list(range(len(made)))
    assert all(0 <= a <= b < profile.seconds for (_, a), (_, b) in pairwise([*made[:1], *made]))
    assert all(profile.level(start) > 0 or math.isclose(profile.level(start), 0, abs_tol=1e-5) for _, start in made)
    assert made == list(schedule) == list(Schedule(profile, poisson=poisson, seed=seed))


@given(SMALL, st.booleans(), st.lists(st.floats(-0.1, 1.1), max_size=8))
def test_before_counts_what_iter_yields(profile: Profile, poisson: bool, shares: list[float]) -> None:
    """Whether moments grow or go back, and at a start itself: that one is not before it."""
    schedule = Schedule(profile, poisson=poisson, seed=5)
    every = [start for _, start in schedule]
    moments = [share * profile.seconds for share in shares] + every[:3] + every[1:2] + [profile.seconds]
    for moment in moments:
        assert schedule.before(moment) == sum(start < moment for start in every)


def test_before_does_not_begin_again() -> None:
    """Asking a thousand times while time goes on costs one pass; an endless schedule has no whole to count."""
    schedule = Schedule(arrivals("100/s").profile, poisson=True, seed=1)
    counts = [schedule.before(second) for second in range(1000)]
    assert counts == sorted(counts)
    assert counts[-1] == len([start for start in starts("100/s", first=110_000) if start < 999])
    with pytest.raises(ValueError, match="endless"):
        schedule.before(math.inf)
    assert schedule.before(999) == counts[-1]


def test_the_seed_decides() -> None:
    """Same seed, same starts, be it a number or its text; another seed, others. A constant schedule has nothing to draw."""
    assert starts(UP_AND_DOWN, 1) == starts(UP_AND_DOWN, 1) == starts(UP_AND_DOWN, "1")
    assert len({tuple(starts("2/s", seed, first=3)) for seed in [*range(-50, 50), "a", "b"]}) == 102
    assert starts("2/s", 1, poisson=False, first=9) == starts("2/s", 2, poisson=False, first=9)


def test_a_prefix_does_not_depend_on_what_follows() -> None:
    """A rate held for an hour begins as the endless one does."""
    hour = starts("0s:2/s,1h:2/s")
    assert starts("2/s", first=len(hour)) == hour


@pytest.mark.parametrize("text", ["0s:2/s,30s:2/s", "30s:4/s", "30s:4/s,30s:0/s", UP_AND_DOWN])
def test_poisson_counts_have_the_mean_and_the_variance_of_the_area(text: str) -> None:
    """Over 400 fixed seeds, within four standard errors; in every quarter of the profile as in the whole."""
    profile, runs = arrivals(text).profile, 400
    schedules = [Schedule(profile, poisson=True, seed=seed) for seed in range(runs)]
    moments = [profile.seconds * quarter / 4 for quarter in range(5)]
    counts = [[schedule.before(moment) for moment in moments] for schedule in schedules]
    for n, m in [*pairwise(range(5)), (0, 4)]:
        area = profile.area(moments[m]) - profile.area(moments[n])
        seen = [count[m] - count[n] for count in counts]
        assert abs(fmean(seen) - area) < 4 * math.sqrt(area / runs)
        assert abs(pvariance(seen) / area - 1) < 4 * math.sqrt((2 + 1 / area) / runs)


@pytest.mark.parametrize("seed", range(5))
def test_gaps_of_a_poisson_schedule_are_exponential(seed: int) -> None:
    """In time for a constant rate, in area for any other; and a gap tells nothing of the next."""
    made = starts("10/s", seed, first=5000)
    gaps = [b - a for a, b in pairwise([0.0, *made])]
    assert farthest_from_exponential(gaps, 0.1) < 1.95
    assert abs(fmean((a - 0.1) * (b - 0.1) for a, b in pairwise(gaps))) < 4 * 0.01 / math.sqrt(len(gaps))
    profile = arrivals("100s:40/s,0s:10/s,100s:10/s,100s:0/s").profile
    areas = [profile.area(start) for _, start in Schedule(profile, poisson=True, seed=seed)]
    assert farthest_from_exponential([b - a for a, b in pairwise([0.0, *areas])], 1.0) < 1.95


def test_even_spacing_is_told_from_exponential() -> None:
    """The check above can fail."""
    assert farthest_from_exponential([b - a for a, b in pairwise(starts("10/s", poisson=False, first=5000))], 0.1) > 10


def test_a_profile_of_customers_can_be_a_schedule_too() -> None:
    """A level is a level."""
    assert len(list(Schedule(stages("1m:5,1m:5"), poisson=False, seed=1))) == 450


# Shares.


def owners(changes: list[tuple[int, list[int]]], count: int) -> list[int | None]:
    """Return the owner of each arrival, by writing every change over what was there."""
    written: list[int | None] = [None] * count
    for start, ranks in changes:
        for n in range(start, count):
            written[n] = ranks[n % len(ranks)] if ranks else None
    return written


def told(changes: list[tuple[int, list[int]]]) -> Shares:
    shares = Shares()
    for start, ranks in changes:
        shares.change(start, ranks)
    return shares


@given(st.integers(1, 12))
def test_shares_are_disjoint_and_whole(workers: int) -> None:
    """Each worker walks the whole schedule and takes its own: together they start every arrival once, none a worker more than another."""
    schedule = Schedule(stages("20s:9"), poisson=True, seed=3)
    taken = [[n for n, _ in schedule if told([(0, list(range(workers)))]).owner(n) == rank] for rank in range(workers)]
    assert sorted(n for one in taken for n in one) == [n for n, _ in schedule]
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


@given(CHANGES)
def test_one_owner_whatever_changes(changes: list[tuple[int, list[int]]]) -> None:
    """Nobody only where no ranks were named; a change that goes back wins from there on; and the shares count to the whole."""
    shares, expected = told(changes), owners(changes, 90)
    assert [shares.owner(n) for n in range(90)] == expected
    for before in (0, 1, 17, 60, 61, 90):
        assert [shares.owned(rank, before) for rank in range(7)] == [expected[:before].count(rank) for rank in range(7)]


@given(CHANGES, st.integers(0, 60), RANKS)
def test_what_was_started_stays_owned(changes: list[tuple[int, list[int]]], start: int, ranks: list[int]) -> None:
    """A change moves no arrival before its index."""
    shares = told(changes)
    settled = [shares.owner(n) for n in range(start)]
    shares.change(start, ranks)
    assert [shares.owner(n) for n in range(start)] == settled


def test_shares_by_hand() -> None:
    """Two workers, then a third, then the first is gone; nobody before the first change, and none in an index below 0."""
    shares = told([(2, [0, 1]), (6, [0, 1, 2]), (9, [1, 2])])
    assert [shares.owner(n) for n in range(13)] == [None, None, 0, 1, 0, 1, 0, 1, 2, 2, 1, 2, 1]
    assert [shares.owned(rank, 13) for rank in (0, 1, 2, 3)] == [3, 5, 3, 0]
    assert shares.owned(1, 10**15) == 3 + (10**15 - 9) // 2
    shares.change(4, [])
    assert [shares.owner(n) for n in range(2, 7)] == [0, 1, None, None, None]
    assert Shares().owner(0) is None
    assert Shares().owned(0, 100) == 0
    with pytest.raises(ValueError, match="-1"):
        shares.change(-1, [0])
