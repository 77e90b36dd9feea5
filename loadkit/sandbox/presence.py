"""Who is online: a stamp a person, good for 20 seconds after each refresh over the cable."""

from __future__ import annotations

from collections.abc import Sequence

from loadkit import clock
from loadkit.sandbox.rows import Contact, User

__all__ = ["LIFETIME_S", "Presence"]

LIFETIME_S = 20.0


class Presence:
    """The presence of one account; `lifetime` in seconds, `staff` everybody who works in it, a list that may grow."""

    def __init__(self, lifetime: float = LIFETIME_S, *, staff: Sequence[User] = ()) -> None:
        self._lifetime = lifetime
        self._staff = staff
        self._users: dict[int, float] = {}
        self._contacts: dict[int, float] = {}

    def refresh_user(self, user: User) -> None:
        """A user showed up."""
        self._users[user.id] = clock.now()

    def refresh_contact(self, contact: Contact) -> None:
        """A contact showed up; being the newest they come last, which keeps the map sorted by age."""
        self._contacts.pop(contact.id, None)
        self._contacts[contact.id] = clock.now()

    def is_online(self, user: User) -> bool:
        """Return whether a user showed up within the lifetime."""
        return self._fresh(self._users.get(user.id))

    def is_contact_online(self, contact: Contact) -> bool:
        """Return whether a contact showed up within the lifetime."""
        return self._fresh(self._contacts.get(contact.id))

    def availability(self, user: User) -> str:
        """Return what a user chose while they are there, or never go offline by themselves; else "offline"."""
        return user.availability if self.is_online(user) or not user.auto_offline else "offline"

    def assignable(self, user: User) -> bool:
        """Return whether a conversation may be given to a user automatically."""
        return self.availability(user) == "online"

    def users(self) -> dict[str, str]:
        """Return the map of users that a presence frame carries: who is there, or never goes offline."""
        return {str(user.id): user.availability for user in self._staff if self.is_online(user) or not user.auto_offline}

    def contacts(self) -> dict[str, str]:
        """Return the map of online contacts that a user's presence frame carries; forgets those who lapsed."""
        while self._contacts:
            oldest = next(iter(self._contacts))
            if self._fresh(self._contacts[oldest]):
                break
            del self._contacts[oldest]
        return {str(number): "online" for number in self._contacts}

    def _fresh(self, seen: float | None) -> bool:
        return seen is not None and clock.now() - seen <= self._lifetime
