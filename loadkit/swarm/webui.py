"""Locust's web UI with loadkit: a start is checked like a command line, before any load, and its fault is said in the form."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from flask import jsonify, request
from locust.env import Environment

from loadkit.errors import UsageError
from loadkit.swarm.settings import OPTIONS

__all__ = ["install"]


def install(environment: Environment, web_ui: Any, prepare: Callable[[Environment], None]) -> None:
    """Check every start from the form by `prepare`, which raises UsageError. No secret is an option, so none is in a page."""
    options = environment.parsed_options
    # Locust casts what the form sends to the type of the present value's first element: an empty list would cast to int.
    for option in OPTIONS:
        if option.several and not getattr(options, option.name, None):
            setattr(options, option.name, [""])

    @web_ui.app.before_request  # type: ignore[untyped-decorator]
    def check_start() -> Any:
        runner = environment.runner
        if request.endpoint != "locust.swarm" or runner is None or runner.state in ("spawning", "running", "stopping"):
            return None
        before = environment.parsed_options
        environment.parsed_options = _as_posted(before)
        try:
            prepare(environment)
        except UsageError as error:
            return jsonify({"success": False, "message": str(error), "host": environment.host})
        finally:
            environment.parsed_options = before
        return None


def _as_posted(options: Any) -> Any:
    """Return a copy of the options with what the form sends of ours and of the host."""
    posted = copy(options)
    for option in OPTIONS:
        if not option.in_form or option.name not in request.form:
            continue
        value: Any = request.form.getlist(option.name) if option.several else request.form[option.name]
        if isinstance(option.default, bool):
            value = value in ("on", "true", "True", True)
        setattr(posted, option.name, value)
    if request.form.get("host"):
        posted.host = request.form["host"]
    return posted
