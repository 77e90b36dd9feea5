"""Users in the open model: each idles until the gate lets somebody in, is that customer until the end of one pass, and idles again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, TaskSet

from loadkit.swarm.gate import Gate

if TYPE_CHECKING:
    from loadkit.swarm.users import ContactUser

__all__ = ["receive"]

_log = logging.getLogger("loadkit")


def receive(user: ContactUser, gate: Gate) -> None:
    """Be one visitor after the other, in place of a life of one's own; ends by StopUser or GreenletExit.

    A visitor starts as the scenario's `on_start` says, does one of its tasks, drawn by their weights, and leaves as `on_stop` says.
    Between two visitors there is no `wait_time`: who comes when is the schedule's.
    """
    while user._state != LOCUST_STATE_STOPPING:
        user._state = LOCUST_STATE_WAITING  # so that Locust stops one who idles at once
        gate.enter()
        user._state = LOCUST_STATE_RUNNING
        _visit(user, gate)
    raise StopUser


def _visit(user: ContactUser, gate: Gate) -> None:
    finished = False
    try:
        user.start_over()
        user.on_start()
        _perform(user, user.random.choice(user.tasks))
        finished = True
    except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
        finished = True
    except StopUser:
        finished = not user.run_context.stopping and user._state != LOCUST_STATE_STOPPING
        if not finished:
            raise
    except Exception as error:
        user.environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
        if not user.environment.catch_exceptions:
            raise
        _log.exception("a visitor's task ended in an exception")
    finally:
        try:
            user.on_stop()  # type: ignore[no-untyped-call]
        finally:
            user.run_context.leave(user.customer)
            gate.leave(finished=finished)


def _perform(user: ContactUser, task: Any) -> None:
    if isinstance(task, type) and issubclass(task, TaskSet):
        task(user).run()  # type: ignore[no-untyped-call]
    else:
        task(user)
