"""Profiles as Locust's shapes, and who gets one."""

from __future__ import annotations

import types
from typing import Any

import gevent
import pytest
from locust.env import Environment
from locust.shape import LoadTestShape

from loadkit import clock
from loadkit.errors import SettingsError
from loadkit.swarm import settings, shapes
from loadkit.swarm.settings import RunSettings
from loadkit.swarm.shapes import ArrivalsShape, StagesShape
from loadkit.workload import profile
from tests.support import eventually


class Own(LoadTestShape):
    """A scenario's own."""

    def tick(self) -> tuple[int, float]:
        return 7, 7


def given(**options: Any) -> tuple[Environment, RunSettings]:
    """Return an environment with these options, and the settings read from them."""
    named = {option.name: option.default for option in settings.OPTIONS} | {"host": "http://127.0.0.1:9", "inbox": "an-inbox"}
    parsed: Any = types.SimpleNamespace(**{**named, "num_users": None, "run_time": None, "spawn_rate": None, **options})
    return Environment(parsed_options=parsed), settings.read(parsed, {"LOADKIT_AGENT_TOKENS": "a-token"})


def test_stages_reach_every_level_within_a_second() -> None:
    """Each tick names the level of a second later, and a rate that gets there by then; at the profile's end it is over."""
    plan = profile.stages("1s:6,0s:2,1s:2,1s:0")
    shape = StagesShape(plan, None)
    shape.reset_time()
    users, seen = 0, []
    while True:
        before = shape.elapsed
        tick = shape.tick()
        after = shape.elapsed
        if tick is None:
            assert after >= plan.seconds
            break
        moments = [min(moment + 1, plan.seconds) for moment in (before, after)]
        levels = [round(plan.level(moment)) for moment in moments]
        assert min(levels) <= tick[0] <= max(levels)
        assert tick[1] >= max(1, abs(tick[0] - users))
        users = tick[0]
        seen.append(users)
        assert before < plan.seconds
        gevent.sleep(0.02)
    assert seen[0] == round(plan.level(1))
    assert seen[-1] == 0
    assert clock.now() > 0


def test_stages_begin_anew() -> None:
    """A second run from the form starts from nobody: the first tick's rate is for all of them."""
    shape = StagesShape(profile.stages("0s:50,60s:50"), None)
    for _ in range(2):
        shape.reset_time()
        assert shape.tick() == (50, 50)
        assert shape.tick() == (50, 1)


@pytest.mark.parametrize(("rates", "run_time"), [("0s:5/s,0.3s:5/s", None), ("0s:5/s,0.3s:5/s", 60.0), ("5/s", 0.3)])
def test_arrivals_end_with_profile_or_run_time_counted_from_the_opening(rates: str, run_time: float | None) -> None:
    """Until the schedule is opened no time passes, however long users take to be ready."""
    shape = ArrivalsShape(profile.arrivals(rates), types.SimpleNamespace(worker_count=3), most=1000, run_time=run_time)
    shape.reset_time()
    began = clock.now()
    eventually(lambda: shape.elapsed > 0.4)
    assert shape.tick() == (1000, 300)
    shape.opened()
    opened = clock.now()
    assert shape.tick() == (1000, 300)
    eventually(lambda: shape.tick() is None)
    assert clock.now() - opened >= 0.29
    assert clock.now() - began >= 0.69
    shape.reset_time()
    assert shape.tick() is not None


def test_arrivals_never_ask_for_a_faster_start_than_for_all() -> None:
    """A few users are there within a second; a runner without workers counts as one."""
    plan = profile.arrivals("5/s")
    assert ArrivalsShape(plan, None, most=3, run_time=None).tick() == (3, 3)
    assert ArrivalsShape(plan, types.SimpleNamespace(worker_count=0), most=500, run_time=None).tick() == (500, 100)


@pytest.mark.parametrize("option", [{"stages": "1m:5"}, {"arrivals": "2/s"}])
def test_a_scenarios_own_shape_and_ours_do_not_go_together(option: dict[str, str]) -> None:
    """A sentence, not a guess which of them is meant."""
    environment, wanted = given(**option)
    environment.shape_class = own = Own()
    with pytest.raises(SettingsError, match="a load shape of its own"):
        shapes.choose(environment, wanted, None)
    assert environment.shape_class is own


@pytest.mark.parametrize("own", [None, Own()])
def test_a_plain_run_is_left_as_it_is(own: LoadTestShape | None) -> None:
    """Without our options neither shape nor options change."""
    environment, wanted = given(num_users=5, run_time=60)
    environment.shape_class = own
    assert shapes.choose(environment, wanted, None) == ""
    assert environment.shape_class is own
    options: Any = environment.parsed_options
    assert (options.num_users, options.run_time) == (5, 60)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_users": 5, "spawn_rate": 2, "run_time": 60}, "long: -u, -r and -t ignored"),
        ({"num_users": 5, "run_time": 60}, "long: -u and -t ignored"),
        ({"num_users": 5}, "-u ignored"),
        ({"spawn_rate": 2}, "long: -r ignored"),
        ({}, ""),
    ],
)
def test_what_stages_leave_aside_is_said(options: dict[str, int], line: str) -> None:
    """One line names the options; Locust's own timer is not armed."""
    environment, wanted = given(stages="1m:5", **options)
    assert shapes.choose(environment, wanted, None).endswith(line)
    assert isinstance(environment.shape_class, StagesShape)
    parsed: Any = environment.parsed_options
    assert parsed.run_time is None


def test_arrivals_leave_r_aside_and_say_so() -> None:
    """They come when they come, not so many a second."""
    environment, wanted = given(arrivals="2/s", num_users=5, spawn_rate=3)
    assert shapes.choose(environment, wanted, None).endswith("when: -r ignored")


@pytest.mark.parametrize(("asked", "most"), [(None, 1000), (50, 50)])
def test_with_arrivals_u_is_the_most_at_once(asked: int | None, most: int) -> None:
    """A thousand unless it is given; `-t` still ends the run."""
    environment, wanted = given(arrivals="2/s", num_users=asked, run_time=60)
    assert shapes.choose(environment, wanted, None) == ""
    shape: Any = environment.shape_class
    assert isinstance(shape, ArrivalsShape)
    assert (shape.tick()[0], shape.run_time) == (most, 60)
    shapes.opened(environment)
    assert shape.tick()[0] == most


def test_the_next_run_without_stages_has_no_shape() -> None:
    """From the form: stages, then arrivals, then a plain run."""
    environment, staged = given(stages="1m:5")
    shapes.choose(environment, staged, None)
    shapes.opened(environment)
    _, arriving = given(arrivals="2/s")
    shapes.choose(environment, arriving, None)
    assert isinstance(environment.shape_class, ArrivalsShape)
    _, plain = given()
    assert shapes.choose(environment, plain, None) == ""
    assert environment.shape_class is None
    shapes.opened(environment)
    assert not shapes.is_ours(Own())
