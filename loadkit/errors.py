"""The errors of loadkit, drawn. Each knows the exit code it ends a command with.

    LoadkitError
    ├── UsageError                 2   something a person gave cannot be used; one sentence, no load was sent
    │   ├── SettingsError              an option, a duration, a number
    │   ├── TargetError                the target file, or the target itself at the first look
    │   ├── ThresholdError             a threshold that cannot be read or names no metric
    │   └── ResultsError               a run folder that is not one
    ├── ProtocolError
    │   ├── LocalProtocolError         we broke the protocol: a bug of ours
    │   └── RemoteProtocolError        they did: named, counted, never a crash
    ├── TransportError                 no answer: unreachable, shortage, timeout, cut
    └── AnswerError                    an answer that refuses: status and kind

A slow or failing target is data, not an exception: these are raised at the edge where the thing happens and counted by the caller.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

__all__ = [
    "AnswerError",
    "LoadkitError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "ResultsError",
    "SettingsError",
    "TargetError",
    "ThresholdError",
    "TransportError",
    "UsageError",
]


_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class LoadkitError(Exception):
    """Root of the tree; its text is a sentence for a person."""

    exit_code = 1


class UsageError(LoadkitError):
    """Something a person gave cannot be used."""

    exit_code = 2


class SettingsError(UsageError):
    """An option that cannot be used."""


class TargetError(UsageError):
    """A target that cannot be read, reached or used."""


class ThresholdError(UsageError):
    """A threshold that cannot be parsed, or names no metric."""


class ResultsError(UsageError):
    """A folder that is no run, or is of a newer schema."""


class ProtocolError(LoadkitError):
    """Somebody broke a protocol."""


class LocalProtocolError(ProtocolError):
    """We did: a call that the state does not allow."""


class RemoteProtocolError(ProtocolError):
    """They did. `kind` is a short stable name to count under, e.g. `not_json`, `missing_key`, `bad_frame`."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text or kind)
        self.kind = kind


class TransportError(LoadkitError):
    """No answer came. `kind` is `unreachable` or `shortage` (no byte could be sent), `timeout` or `cut` (bytes had left)."""

    SHORTAGE = "shortage"
    """The kind of what failed for want of a descriptor, a port or memory of the generator's own: the target had no part in it."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text or kind)
        self.kind = kind

    @classmethod
    def of_opening(cls, error: object) -> str:
        """Return the kind of a connection that could not be opened: `shortage` where that was certainly the generator's own doing."""
        return cls.SHORTAGE if getattr(error, "errno", None) in _OWN else "unreachable"

    @classmethod
    def of_addresses(cls, errors: Iterable[object]) -> str:
        """Return the same by the errors of all the target's addresses.

        That no port is left shows as EADDRNOTAVAIL; so does an address of a family that is switched off, beside one that the target
        refused.
        """
        numbers = {getattr(error, "errno", None) for error in errors}
        return cls.SHORTAGE if numbers and numbers <= {*_OWN, errno.EADDRNOTAVAIL} else "unreachable"


class AnswerError(LoadkitError):
    """An answer that refuses. `status` is the HTTP status, `kind` a short stable name, e.g. `throttled`, `flood`, `http_502`."""

    def __init__(self, status: int, kind: str, text: str = "") -> None:
        super().__init__(text or f"{status} {kind}")
        self.status = status
        self.kind = kind
