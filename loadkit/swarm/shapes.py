"""Profiles as shapes of Locust's: stages say how many users there are, arrivals only need enough of them to be idle.

There is a shape only where one of the two options is given: a shape in a scenario would silently disable `-u` and the form's fields.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from locust.env import Environment
from locust.shape import LoadTestShape

from loadkit import clock
from loadkit.errors import SettingsError
from loadkit.swarm.settings import RunSettings
from loadkit.workload.profile import Plan, Profile

__all__ = ["ArrivalsShape", "StagesShape", "choose", "is_cut_short", "is_ours", "most_at_once", "opened"]

MOST_AT_ONCE = 1000
SPAWNED_A_SECOND = 100
"""Users a second whom a worker makes ready for arrivals: Locust warns above it."""


class _Shape(LoadTestShape):
    """Shown in the form with Locust's own fields: a form without them could not start a plain run any more."""

    abstract = True
    use_common_options: ClassVar[bool] = True

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self._began = clock.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return clock.now() - self._began

    def reset_time(self) -> None:
        """Begin anew: Locust calls this at every start."""
        self._began = clock.now()


class StagesShape(_Shape):
    """Customers by a profile: each second brings the level of its end."""

    abstract = True

    def __init__(self, profile: Profile, runner: Any) -> None:
        super().__init__(runner)
        self._profile = profile
        self._level = 0

    def reset_time(self) -> None:
        """Begin anew, from nobody."""
        super().reset_time()
        self._level = 0

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self._profile.is_over(self.elapsed)

    def tick(self) -> tuple[int, float] | None:
        """Return users and the rate that reaches them within a second; None when the profile is over."""
        if self.is_over:
            return None
        before, self._level = self._level, round(self._profile.level(min(self.elapsed + 1, self._profile.seconds)))
        return self._level, max(1, abs(self._level - before))


class ArrivalsShape(_Shape):
    """Users who idle until the gate lets one in; ends with the profile or after the run time, whichever is first.

    The time counts from `opened`, when the schedule begins.
    """

    abstract = True

    def __init__(self, plan: Plan, runner: Any, *, most: int, run_time: float | None) -> None:
        super().__init__(runner)
        self.run_time = run_time
        self._seconds = min(plan.profile.seconds, run_time or math.inf)
        self.most = most
        self._is_open = False

    def reset_time(self) -> None:
        """Begin anew, before the schedule does."""
        super().reset_time()
        self._is_open = False

    def opened(self) -> None:
        """Count from now."""
        super().reset_time()
        self._is_open = True

    def tick(self) -> tuple[int, float] | None:
        """Return the most at once, and how fast they are made ready; None when it is over."""
        if self.is_over:
            return None
        workers = max(1, getattr(self.runner, "worker_count", 1))
        most = max(self.most, workers)  # each worker has a share of the arrivals, and needs somebody to receive them
        return most, min(most, SPAWNED_A_SECOND * workers)

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self._is_open and self.elapsed >= self._seconds


def choose(environment: Environment, settings: RunSettings, runner: Any) -> str:
    """Give the environment the shape that the settings ask for, or none of ours; return a line about options that it leaves aside.

    Raises SettingsError where the scenario brings a shape of its own.
    """
    options: Any = environment.parsed_options
    ours = environment.shape_class is None or is_ours(environment.shape_class)
    if not ours and (settings.stages or settings.arrivals):
        raise SettingsError("the scenario brings a load shape of its own: leave out --stages and --arrivals")
    if not ours:
        return ""
    if settings.stages:
        environment.shape_class = StagesShape(settings.stages, runner)
        beside = (("-u", options.num_users), ("-r", options.spawn_rate), ("-t", options.run_time))
        ignored = " and ".join(", ".join(name for name, value in beside if value).rsplit(", ", 1))
        options.run_time = None  # Locust would arm it when the stages are over, and cut the next run short
        return f"--stages says how many customers there are, when, and for how long: {ignored} ignored" if ignored else ""
    if settings.arrivals:
        most, run_time = options.num_users or MOST_AT_ONCE, options.run_time
        environment.shape_class = ArrivalsShape(settings.arrivals, runner, most=most, run_time=run_time)
        options.run_time = None
        return "--arrivals says how many customers come, and when: -r ignored" if options.spawn_rate else ""
    environment.shape_class = None
    return ""


def is_ours(shape: LoadTestShape | None) -> bool:
    """Whether a shape was made here."""
    return isinstance(shape, _Shape)


def is_cut_short(environment: Environment) -> bool:
    """Whether a run by one of our shapes is being stopped before its shape is over."""
    shape = environment.shape_class
    return isinstance(shape, StagesShape | ArrivalsShape) and not shape.is_over


def opened(environment: Environment) -> None:
    """Let the run time of arrivals count from now: the schedule begins."""
    if isinstance(environment.shape_class, ArrivalsShape):
        environment.shape_class.opened()


def most_at_once(environment: Environment) -> int:
    """Return how many users receive arrivals in all; 0 where there are none to receive."""
    shape = environment.shape_class
    return shape.most if isinstance(shape, ArrivalsShape) else 0
