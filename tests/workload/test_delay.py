"""Random durations: their shape, their seed, and their place in a class body."""

from __future__ import annotations

import random
import subprocess
import sys
from statistics import mean, median, quantiles

import pytest

import loadkit
from loadkit.errors import SettingsError
from loadkit.workload.delay import Delay, constant, exponential, lognormal, uniform

DRAWS = 20_000


def draws(delay: Delay, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [delay.draw(rng) for _ in range(DRAWS)]


@pytest.mark.parametrize(("middle", "high"), [("8s", "30s"), ("2s", "8s"), ("100ms", "101ms")])
def test_lognormal_has_the_median_and_the_p95_that_were_asked_for(middle: str, high: str) -> None:
    """Half below the one, one in twenty above the other."""
    delay = lognormal(median=middle, p95=high)
    m, p95 = (float(loadkit.constant(text).draw(random.Random())) for text in (middle, high))
    drawn = draws(delay)
    assert median(drawn) / m == pytest.approx(1, abs=0.03)
    assert quantiles(drawn, n=20)[-1] / p95 == pytest.approx(1, abs=0.05)


def test_a_lognormal_without_spread_is_constant() -> None:
    """Median and p95 may be the same."""
    drawn = draws(lognormal(median=2, p95="2s"))
    assert (min(drawn), max(drawn)) == (pytest.approx(2), pytest.approx(2))


def test_the_other_shapes() -> None:
    """A constant is one value, uniform fills its span evenly, exponential has its mean and the median that goes with it."""
    assert set(draws(constant("1.5s"))) == {1.5}
    flat = draws(uniform("1s", 3))
    assert 1 <= min(flat) < max(flat) <= 3
    assert (mean(flat) / 2, median(flat) / 2) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))
    memoryless = draws(exponential("4s"))
    assert mean(memoryless) / 4 == pytest.approx(1, abs=0.04)
    assert median(memoryless) / mean(memoryless) == pytest.approx(0.6931, abs=0.02)
    assert set(draws(exponential(0))) == set(draws(constant(0))) == {0.0}


@pytest.mark.parametrize("delay", [constant(1), uniform(1, 2), exponential(1), lognormal(median=1, p95=3)])
def test_the_same_seed_draws_the_same(delay: Delay) -> None:
    """A run can be repeated; nothing is drawn from anywhere else, and nothing is negative."""
    state = random.getstate()
    assert draws(delay, 7) == draws(delay, 7)
    assert random.getstate() == state
    assert min(draws(delay)) >= 0
    assert str(delay)


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant("soon"),
        lambda: constant(-1),
        lambda: uniform("3s", "1s"),
        lambda: exponential("1 hour"),
        lambda: lognormal(median=0, p95=1),
        lambda: lognormal(median="3s", p95="1s"),
        lambda: lognormal(median=float("nan"), p95=1),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    """When the scenario is loaded, not when it first waits."""
    with pytest.raises(SettingsError):
        make()  # type: ignore[operator]


class Person:
    """What Locust's users have in common with this one: a wait_time, and a generator of their own."""

    wait_time = lognormal(median="8s", p95="30s")
    thinks = uniform(1, 2)

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)


def test_in_a_class_body_it_is_a_method() -> None:
    """Each instance draws from its own generator; the class itself shows the distribution."""
    one, same, other = Person(1), Person(1), Person(2)
    assert one.wait_time() == same.wait_time() != other.wait_time()
    assert Person.wait_time.draw(random.Random(1)) == Person(1).wait_time() == Person.wait_time(Person(1))
    assert str(Person.wait_time) == "lognormal median 8s p95 30s"
    assert 1 <= one.thinks() <= 2


IN_LOCUST = """
import random
from locust import User, task
from locust.env import Environment
from loadkit import constant, uniform

class Shopper(User):
    wait_time = uniform("1s", "2s")
    @task
    def nothing(self):
        pass

class Hasty(Shopper):
    wait_time = constant("3ms")

for kind, low, high in ((Shopper, 1, 2), (Hasty, 0.003, 0.003)):
    user = kind(Environment(user_classes=[kind]))
    user.random = random.Random(1)
    assert low <= user.wait_time() <= high
    from locust.user.task import DefaultTaskSet
    assert low <= DefaultTaskSet(user).wait_time() <= high
print("fine")
"""


def test_as_a_wait_time_in_locust_itself() -> None:
    """Locust asks the user, and its task sets ask through it."""
    done = subprocess.run([sys.executable, "-c", IN_LOCUST], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stderr[-2000:]


def test_the_words_are_at_the_front_door() -> None:
    """A scenario imports them from loadkit."""
    assert (loadkit.constant, loadkit.uniform, loadkit.exponential, loadkit.lognormal) == (constant, uniform, exponential, lognormal)
