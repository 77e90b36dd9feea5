"""Users in the open model: each idles until the gate lets somebody in, is that customer until the end of one pass, and idles again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from locust.exception import InterruptTaskSet, RescheduleTask, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, TaskSet

from loadkit.swarm.gate import Gate

if TYPE_CHECKING:
    from loadkit.swarm.users import ContactUser

__all__ = ["receive_visitors"]


def receive_visitors(user: ContactUser, gate: Gate) -> None:
    """Give a user one task of ours in place of its own life: to be one visitor after the other.

    A visitor starts as the scenario's `on_start` says, does one of its tasks, drawn by their weights, and leaves as `on_stop` says.
    Between two visitors there is no `wait_time`: who comes when is the schedule's.
    """
    tasks = list(type(user).tasks)
    vars(user).update(on_start=_nothing, on_stop=_nothing, tasks=[_visitors(gate, tasks)])


def _nothing() -> None:
    """The start and the stop of a user who is nobody."""


def _visitors(gate: Gate, tasks: list[Any]) -> Callable[[ContactUser], None]:
    def receive(user: ContactUser) -> None:
        while user._state != LOCUST_STATE_STOPPING:
            user._state = LOCUST_STATE_WAITING  # so that Locust stops one who idles at once
            gate.enter()
            user._state = LOCUST_STATE_RUNNING
            _visit(user, gate, tasks)
        raise StopUser

    return receive


def _visit(user: ContactUser, gate: Gate, tasks: list[Any]) -> None:
    finished = False
    try:
        user.start_over()
        type(user).on_start(user)
        _perform(user, user.random.choice(tasks))
        finished = True
    except (InterruptTaskSet, RescheduleTask):
        finished = True
    except StopUser:
        finished = not user.run_context.stopping
        if not finished:
            raise
    finally:
        try:
            type(user).on_stop(user)  # type: ignore[no-untyped-call]
        finally:
            user.run_context.leave(user.customer)
            gate.leave(finished=finished)


def _perform(user: ContactUser, task: Any) -> None:
    if isinstance(task, type) and issubclass(task, TaskSet):
        task(user).run()  # type: ignore[no-untyped-call]
    else:
        task(user)
