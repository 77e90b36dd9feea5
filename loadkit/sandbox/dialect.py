"""In what an older release speaks differently on the wire: the present one, and 3.0.0 of September 2023."""

from __future__ import annotations

from dataclasses import dataclass

from loadkit.errors import SettingsError

__all__ = ["DIALECTS", "PRESENT", "Dialect", "dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one release does. Each switch says what the present release does and the older one does not."""

    version: str
    shows_conversations: bool = True
    """The Client API shows and resolves one conversation; its creation takes attributes and heeds the inbox's lock to a single one."""
    limits_floods: bool = True
    """A conversation takes 200 messages a minute."""
    marks_read: bool = True
    """A customer's look marks messages as read, each with an event."""
    rebuilds: bool = True
    """Conversation events are read again when their job runs; else they are frozen in the request and name the performer."""
    has_account_stream: bool = True
    """Contact events go to the account's stream; else to every agent's token."""
    validates_first: bool = True
    """A subscription whose token is good but not its user or account hears nothing; else it hears its token's stream, unconfirmed."""
    tells_activity: bool = True
    """Conversation events carry `last_activity_at`, `updated_at` and the SLA keys."""
    takes_source_ids: bool = True
    """Agent messages take a `source_id`, and `content_attributes` as JSON text."""
    sets_status: bool = True
    """The agent API sets the delivery status of a message."""


PRESENT = Dialect("4.2.0")
_OLD = Dialect("3.0.0", *(False,) * 9)
DIALECTS = (PRESENT.version, _OLD.version)


def dialect(version: str) -> Dialect:
    """Return the dialect of a release. Raises SettingsError."""
    for known in (PRESENT, _OLD):
        if known.version == version:
            return known
    raise SettingsError(f"{version!r} is no dialect: there are {' and '.join(DIALECTS)}")
