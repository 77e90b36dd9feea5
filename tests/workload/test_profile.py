"""Profiles: what is read and refused, the level, the area under it, and the way back."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.errors import SettingsError
from loadkit.workload.profile import Plan, Profile, Stage, arrivals, stages

HELD = st.builds(Stage, st.one_of(st.just(0.0), st.floats(0.1, 5000)), st.one_of(st.just(0.0), st.floats(0.01, 1000)))
PROFILES = (
    st.lists(HELD, min_size=1, max_size=6)
    .filter(lambda made: any(a.duration and (a.level or before.level) for before, a in pairwise([Stage(0, 0), *made])))
    .map(lambda made: Profile(tuple(made)))
)
SHARES = st.floats(0, 1)


def endless(rate: float) -> Profile:
    return Profile((Stage(0, rate), Stage(math.inf, rate)))


def roughly(area: float, profile: Profile) -> object:
    """Return an area to compare with, give or take the rounding of itself and of the moment at which it is reached."""
    return pytest.approx(area, rel=1e-12, abs=4 * math.ulp(profile.seconds) * max(stage.level for stage in profile.stages))


def test_customers_up_along_and_down() -> None:
    """Each stage goes in a straight line from the level before to its own."""
    profile = stages("2m:50,30m:50,2m:0")
    assert profile == Profile((Stage(120, 50), Stage(1800, 50), Stage(120, 0)))
    assert str(profile) == "2m:50,30m:50,2m:0"
    assert profile.seconds == 2040
    assert [profile.level(t) for t in (-1, 0, 60, 120, 1000, 1920, 1980, 2040, 2041)] == [0, 0, 25, 50, 50, 50, 25, 0, 0]
    assert [profile.area(t) for t in (-1, 0, 60, 120, 1920, 2040, 9999)] == [0, 0, 750, 3000, 93000, 96000, 96000]
    assert [profile.when(a) for a in (-1, 0, 750, 3000, 93000, 96000, 96001)] == [0, 0, 60, 120, 1920, 2040, None]
    assert [profile.is_over(t) for t in (0, 2039.9, 2040, 2041)] == [False, False, True, True]


def test_a_stage_without_length_jumps() -> None:
    """At that moment the level is the one after it, even at the end; the area takes no notice."""
    profile = stages("0s:50, 1m:50, 0:10, 1m:10, 0s:3")
    assert [profile.level(t) for t in (0, 59.9, 60, 119.9, 120)] == [50, 50, 10, 10, 3]
    assert (profile.area(60), profile.area(120), profile.seconds) == (3000, 3600, 120)
    assert stages("0s:7,0s:50,1m:50") != stages("0s:50,1m:50")
    assert stages("0s:7,0s:50,1m:50").area(60) == 3000


def test_a_gap_is_left_at_its_beginning() -> None:
    """While the level is 0 the area stands still, and was reached first when that began."""
    profile = stages("1m:2,1m:0,1h:0,1m:2")
    assert profile.area(120) == profile.area(3000) == 120
    assert profile.when(120) == 120
    assert profile.when(120.5) == pytest.approx(3720 + math.sqrt(0.5 * 60))
    assert stages("1h:0,0s:5,1m:5").when(5) == 3601


def test_a_constant_rate_never_ends() -> None:
    """It is there from the first moment and for ever."""
    profile = arrivals("2/s").profile
    assert profile == endless(2)
    assert profile.seconds == profile.area(math.inf) == profile.when(math.inf) == math.inf
    assert [profile.level(t) for t in (0, 1, 1e9, math.inf)] == [2, 2, 2, 2]
    assert [profile.area(t) for t in (0, 0.25, 1e9)] == [0, 0.5, 2e9]
    assert profile.when(7) == 3.5
    assert not profile.is_over(1e12)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("2/s", Plan(endless(2))),
        ("30/m", Plan(endless(0.5))),
        (" 36 / h ", Plan(endless(0.01))),
        ("3", Plan(endless(3))),
        ("constant 2/s", Plan(endless(2), poisson=False)),
        ("2/s Constant", Plan(endless(2), poisson=False)),
        ("POISSON 2/s", Plan(endless(2))),
        ("2/s  poisson", Plan(endless(2))),
        ("5m:0.5/s,20m:2/s", Plan(Profile((Stage(300, 0.5), Stage(1200, 2))))),
        ("constant 5m:30/m, 20m:2/s", Plan(Profile((Stage(300, 0.5), Stage(1200, 2))), poisson=False)),
        ("0s:2/s,10m:2/s constant", Plan(Profile((Stage(0, 2), Stage(600, 2))), poisson=False)),
    ],
)
def test_arrivals_as_people_write_them(text: str, plan: Plan) -> None:
    """A rate or stages of rates, Poisson unless asked otherwise; what a plan calls itself reads back as the plan."""
    assert arrivals(text) == plan
    assert arrivals(str(arrivals(text))) == plan


@pytest.mark.parametrize(
    ("text", "shown", "expected"),
    [
        ("", "''", "like 2m:50"),
        ("abc", "'abc'", "like 2m:50"),
        ("2m", "'2m'", "like 2m:50"),
        ("2m:", "'2m:'", "whole number"),
        (":50", "':50'", "like 800ms"),
        ("-2m:50", "'-2m'", "like 800ms"),
        ("2x:50", "'2x'", "like 800ms"),
        ("nan:50", "'nan'", "like 800ms"),
        ("inf:50", "'inf'", "like 800ms"),
        ("400d:50", "stage 1, '400d:50'", "a year"),
        ("2m:-1", "'-1'", "whole number"),
        ("2m:1.5", "'1.5'", "whole number"),
        ("2m:1:5", "'1:5'", "whole number"),
        ("2m:٣", "'٣'", "whole number"),
        ("2m:nan", "'nan'", "whole number"),
        ("2m:5,2m:1000001", "stage 2, '2m:1000001'", "between 0 and 1000000"),
        ("2m:" + "9" * 5000, "99999", "whole number"),
        ("2m:50,,", "stage 2, ''", "like 2m:50"),
        ("0s:50", "'0s:50'", "a duration above 0"),
        ("0s:50,0s:0", "'0s:50,0s:0'", "a duration above 0"),
        ("2m:0", "'2m:0'", "never rises above 0"),
        ("2m:0,0s:9", "'2m:0,0s:9'", "never rises above 0"),
    ],
)
def test_what_are_no_stages(text: str, shown: str, expected: str) -> None:
    """One sentence that shows the bad part and says what is expected."""
    with pytest.raises(SettingsError) as caught:
        stages(text)
    assert shown in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown", "expected"),
    [
        ("", "''", "like 2/s"),
        ("constant", "'constant'", "like 2/s"),
        ("often", "'often'", "like 2/s"),
        ("constant 2/s poisson", "'2/s poisson'", "like 2/s"),
        ("2/d", "'2/d'", "like 2/s"),
        ("-2/s", "'-2/s'", "like 2/s"),
        ("nan/s", "'nan/s'", "like 2/s"),
        ("inf", "'inf'", "like 2/s"),
        ("0/s", "'0/s'", "never rises above 0"),
        ("5m:0/s", "'5m:0/s'", "never rises above 0"),
        ("0s:2/s", "'0s:2/s'", "a duration above 0"),
        ("2000000/s", "2000000", "between 0 and 1000000"),
        ("2/s,3/s", "stage 1, '2/s'", "like 5m:2/s"),
        ("5m:2/s,5m", "stage 2, '5m'", "like 5m:2/s"),
        ("5m:often", "'often'", "like 2/s"),
    ],
)
def test_what_are_no_arrivals(text: str, shown: str, expected: str) -> None:
    """One sentence, too."""
    with pytest.raises(SettingsError) as caught:
        arrivals(text)
    assert shown in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.one_of(st.text(max_size=30), st.text("0123456789.:,/smh -e", max_size=30)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """What comes out has a length and an area above 0."""
    for read in (stages, arrivals):
        try:
            made = read(text)
        except SettingsError:
            continue
        profile = made.profile if isinstance(made, Plan) else made
        assert profile.seconds > 0
        assert profile.area(profile.seconds) > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stage(-1, 5),
        lambda: Stage(math.nan, 5),
        lambda: Stage(5, -1),
        lambda: Stage(5, math.nan),
        lambda: Stage(5, math.inf),
        lambda: Profile(()),
        lambda: Profile((Stage(math.inf, 5),)),
        lambda: Profile((Stage(0, 5), Stage(math.inf, 5), Stage(0, 2))),
    ],
)
def test_what_makes_no_profile(make: object) -> None:
    """Not in code either: negative, not a number, without stages, or with something after the end of time."""
    with pytest.raises(SettingsError):
        make()  # type: ignore[operator]


@given(PROFILES, SHARES, SHARES)
def test_the_area_never_shrinks(profile: Profile, one: float, other: float) -> None:
    """It grows with time, up to the rounding of a float, and ends at the sum of the trapezia."""
    early, late = sorted((one * profile.seconds, other * profile.seconds))
    whole = math.fsum(stage.duration * (before.level + stage.level) / 2 for before, stage in pairwise([Stage(0, 0), *profile.stages]))
    assert 0 <= profile.area(early) <= profile.area(late) * (1 + 1e-12)
    assert profile.area(profile.seconds) == pytest.approx(whole)


@given(PROFILES, SHARES)
def test_when_is_the_inverse_of_area(profile: Profile, share: float) -> None:
    """To a microsecond; where the level is nearly 0, as exactly as the area itself can tell moments apart."""
    elapsed = share * profile.seconds
    area = profile.area(elapsed)
    back = profile.when(area)
    assert back is not None
    assert profile.area(back) == roughly(area, profile)
    if (level := min(profile.level(elapsed), profile.level(back))) > 0:
        assert back == pytest.approx(elapsed, abs=1e-6 + 4 * math.ulp(area) / level)


@given(PROFILES, SHARES)
def test_where_an_area_is_reached(profile: Profile, share: float) -> None:
    """Every area up to the whole is reached within the profile, none above it ever."""
    whole = profile.area(profile.seconds)
    reached = profile.when(share * whole)
    assert reached is not None
    assert 0 <= reached <= profile.seconds
    assert profile.area(reached) == roughly(share * whole, profile)
    assert profile.when(math.nextafter(whole, math.inf)) is None


@given(PROFILES)
def test_the_level_is_continuous_but_for_jumps(profile: Profile) -> None:
    """Just before a stage's end its level is there already; just after, only a stage without length has moved it."""
    ends = 0.0
    for stage, after in pairwise([*profile.stages, Stage(1, 0)]):
        ends += stage.duration
        if stage.duration:
            assert profile.level(ends - 1e-9) == pytest.approx(stage.level, abs=1e-4)
        if stage.duration and after.duration and ends < profile.seconds:
            assert profile.level(ends + 1e-9) == pytest.approx(stage.level, abs=1e-4)


@given(PROFILES, SHARES)
def test_the_level_is_the_slope_of_the_area(profile: Profile, share: float) -> None:
    """The level lies between the steps of the area on both sides, wherever no stage ends in between."""
    step = 1e-3
    elapsed = share * profile.seconds
    ends = [sum(stage.duration for stage in profile.stages[:n]) for n in range(len(profile.stages) + 1)]
    if all(abs(end - elapsed) > step for end in ends):
        slope = (profile.area(elapsed + step) - profile.area(elapsed - step)) / (2 * step)
        assert slope == pytest.approx(profile.level(elapsed), rel=1e-6, abs=1e-4)


def test_an_inverse_that_keeps_its_digits() -> None:
    """Ramps so nearly flat that the textbook formula would cancel, and so steep or short that a slope would overflow."""
    for profile in (
        Profile((Stage(0, 1000), Stage(1e6, math.nextafter(1000, 2000)))),
        Profile((Stage(0, 1000), Stage(1e6, math.nextafter(1000, 0)))),
        Profile((Stage(1e-300, 1e6), Stage(1e6, 1e6))),
        Profile((Stage(0, 1e-200), Stage(1e6, 2e-200))),
    ):
        for share in (1e-9, 0.1, 0.5, 0.999999, 1.0):
            area = share * profile.area(profile.seconds)
            assert profile.area(profile.when(area) or 0.0) == pytest.approx(area, rel=1e-12, abs=0)
    assert Profile((Stage(1e-320, 5), Stage(1, 5))).when(5) == pytest.approx(1)
