"""Locust's web UI with loadkit: a start is checked like a command line, before any load, and its fault is said in the form."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from flask import jsonify, request
from locust.env import Environment
from locust.util.timespan import parse_timespan
from werkzeug.datastructures import ImmutableMultiDict

from loadkit.errors import UsageError
from loadkit.swarm import shapes
from loadkit.swarm.settings import OPTIONS

__all__ = ["install"]


def install(
    environment: Environment,
    web_ui: Any,
    *,
    prepare: Callable[[Environment], None],
    is_draining: Callable[[], bool],
    on_stop: Callable[[], None],
) -> None:
    """Check every start from the form by `prepare`, which raises UsageError. No secret is an option, so none is in a page.

    `on_stop` hears that a person pressed stop.
    """
    options: Any = environment.parsed_options
    # Locust casts what the form sends to the type of the present value's first element: an empty list would cast to int.
    for option in OPTIONS:
        if option.several and not getattr(options, option.name, None):
            setattr(options, option.name, [""])
    _keep_shape_from_the_class_picker(environment, web_ui)

    def refused(text: str) -> Any:
        return jsonify({"success": False, "message": text, "host": environment.host})

    @web_ui.app.before_request  # type: ignore[untyped-decorator]
    def check_start() -> Any:
        runner = environment.runner
        if request.endpoint == "locust.stop":
            on_stop()
        if request.endpoint != "locust.swarm" or runner is None:
            return None
        if is_draining() or runner.state == "stopping":
            return refused("the run before is still draining: start again when it has stopped")
        _fill_blanks()
        before: Any = environment.parsed_options
        posted = _as_posted(before)
        if runner.state in ("spawning", "running"):
            changed = [option.name for option in OPTIONS if _text(getattr(posted, option.name)) != _text(getattr(before, option.name))]
            return refused(f"a run keeps its {', '.join(changed)} from start to stop") if changed else None
        host, environment.parsed_options = environment.host, posted
        try:
            prepare(environment)
        except UsageError as error:
            environment.host = host
            return refused(str(error))
        finally:
            environment.parsed_options = before
        before.run_time = None  # a field left empty is not posted, and would keep the value of the run before
        return None


def _keep_shape_from_the_class_picker(environment: Environment, web_ui: Any) -> None:
    """The class picker takes the shape away when none is picked: after the form's stages or arrivals have given it one."""
    pick = web_ui._update_shape_class

    def update(name: str | None) -> None:
        if name is not None or not shapes.is_ours(environment.shape_class):
            pick(name)

    web_ui._update_shape_class = update


def _fill_blanks() -> None:
    """Take an emptied field for one not given: Locust would cast an empty text to a number, and forget the target's host for it."""
    sent: dict[str, Any] = {name: values for name, values in request.form.lists() if name != "host" or "".join(values).strip()}
    for option in OPTIONS:
        if option.name in sent and not option.several and not "".join(sent[option.name]).strip():
            sent[option.name] = [str(option.default)]
    this: Any = request
    this._get_current_object().form = ImmutableMultiDict(sent)


def _as_posted(options: Any) -> Any:
    """Return a copy of the options with what the form sends of ours and of the host."""
    posted = copy(options)
    for option in OPTIONS:
        if not option.in_form or option.name not in request.form:
            continue
        value: Any = request.form.getlist(option.name) if option.several else request.form[option.name]
        if isinstance(option.default, bool):
            value = value in ("on", "true", "True", True)
        elif isinstance(option.default, int):
            value = request.form.get(option.name, type=int, default=value)
        setattr(posted, option.name, value)
    if request.form.get("host"):
        posted.host = request.form["host"]
    posted.num_users = request.form.get("user_count", type=int)
    posted.run_time = _seconds(request.form.get("run_time", ""))
    return posted


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _seconds(text: str) -> float | None:
    try:
        return parse_timespan(text) if text else None
    except ValueError:
        return None  # Locust refuses it in its own words
