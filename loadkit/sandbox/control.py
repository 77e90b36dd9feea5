"""The control API, on a port of its own, all JSON: faults seen and switched, cables cut, closed or sent away, what is there counted.

`/tell` writes whatever message it is given to every subscription, as a server of another release may: so clients can be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from loadkit.errors import SettingsError
from loadkit.sandbox.cable import Cable
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.front import Front
from loadkit.sandbox.store import Store
from loadkit.sandbox.truth import Truth

__all__ = ["Control"]

BIGGEST_BODY = 65_536


class _Restart(msgspec.Struct, forbid_unknown_fields=True):
    """What a disconnect frame says: whether to come back."""

    reconnect: bool = True


class Control:
    """The WSGI application of the control port."""

    def __init__(self, store: Store, cable: Cable, front: Front, faults: Faults, truth: Truth) -> None:
        self._store = store
        self._cable = cable
        self._front = front
        self._faults = faults
        self._truth = truth
        self._actions: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "/faults"): lambda environ: self._faults.shown(),
            ("PUT", "/faults"): self._set,
            ("POST", "/cut"): lambda environ: {"cut": self._cable.cut()},
            ("POST", "/tell"): lambda environ: {"told": self._cable.tell_everybody(_message(environ))},
            ("POST", "/close"): lambda environ: {"closed": self._cable.close()},
            ("POST", "/restart"): lambda environ: {"disconnected": self._cable.restart(come_back=_restart(environ).reconnect)},
            ("GET", "/state"): lambda environ: self.state(),
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request; what cannot be done is a 400 with one sentence."""
        action = self._actions.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        try:
            if action is None:
                status, value = "404 Not Found", {"error": "There are /faults, /cut, /close, /restart, /tell and /state."}
            else:
                status, value = "200 OK", action(environ)
        except SettingsError as error:
            status, value = "400 Bad Request", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [msgspec.json.encode(value)]

    def _set(self, environ: dict[str, Any]) -> dict[str, str]:
        try:
            values = msgspec.json.decode(environ["wsgi.input"].read(BIGGEST_BODY), type=dict[str, str | bool])
        except (msgspec.DecodeError, OSError, ValueError):
            raise SettingsError('the body must be an object of texts like {"drop": "1%", "deaf": "on"}') from None
        if self._faults.set({name: _word(value) for name, value in values.items()}):
            self._cable.cut()
        if self._faults.black_hole:
            self._cable.silence()
        return self._faults.shown()

    def state(self) -> dict[str, Any]:
        """Return the counts of what the server holds and did."""
        return {
            "sockets": len(self._cable.connections),
            "subscriptions": self._cable.subscriptions(),
            "contacts": len(self._store.contacts),
            "conversations": len(self._store.conversations),
            "messages": self._store.messages,
            "replies": {"total": self._truth.replies, "by_fault": dict(self._truth.by_fault)},
            "requests": self._front.requests,
            "touched": self._faults.touched(),
        }


def _restart(environ: dict[str, Any]) -> _Restart:
    try:
        return msgspec.json.decode(environ["wsgi.input"].read(BIGGEST_BODY) or b"{}", type=_Restart)
    except (msgspec.DecodeError, OSError, ValueError):
        raise SettingsError('the body must be empty or {"reconnect": false}') from None


def _message(environ: dict[str, Any]) -> bytes:
    try:
        return bytes(msgspec.json.decode(environ["wsgi.input"].read(BIGGEST_BODY), type=msgspec.Raw))
    except (msgspec.DecodeError, OSError, ValueError):
        raise SettingsError('the body must be JSON, as a rule {"event": "a.name", "data": {}}') from None


def _word(value: str | bool) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else value
