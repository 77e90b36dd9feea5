"""Notifications: what a user is told about a conversation, and the removal of the older one that each new one causes."""

from __future__ import annotations

from functools import partial

from loadkit import clock
from loadkit.sandbox.broadcast import Broadcasts, Then
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.payloads import notification_event
from loadkit.sandbox.rows import Conversation, Message, Notification, User
from loadkit.sandbox.store import Store

__all__ = ["Notices"]


class Notices:
    """The notifications of all users, and the telling of them; `host` is the server's own address in links."""

    def __init__(self, store: Store, broadcasts: Broadcasts, dialect: Dialect, host: str) -> None:
        self._store = store
        self._broadcasts = broadcasts
        self._dialect = dialect
        self._host = host
        self._held: dict[tuple[int, int], list[Notification]] = {}
        self._unread: dict[int, int] = {}

    def to_assignee(self, kind: str, conversation: Conversation, message: Message | None = None) -> Then:
        """Return the telling of a notification to whoever a conversation is assigned to now."""
        return self.to(conversation.assignee, kind, conversation, message)

    def to(self, user: User | None, kind: str, conversation: Conversation, message: Message | None = None) -> Then:
        """Return the telling of a notification to a user; for nobody it does nothing."""

        def job() -> None:
            if user is None:
                return
            newest = self._add(user, kind, conversation, message)
            data = {"notification": notification_event(newest, self._host, dialect=self._dialect), **self._counts(user)}
            then = self._broadcasts.later(partial(self._delete_older, newest))
            self._broadcasts.frozen([user.pubsub_token], "notification.created", data, then=[then])()

        return self._broadcasts.later(job)

    def _add(self, user: User, kind: str, conversation: Conversation, message: Message | None) -> Notification:
        notification = Notification(self._store.next_id("notifications"), kind, user, conversation, message, clock.unix_us())
        self._held.setdefault((user.id, conversation.id), []).append(notification)
        self._unread[user.id] = self._unread.get(user.id, 0) + 1
        return notification

    def _delete_older(self, newest: Notification) -> None:
        user, key = newest.user, (newest.user.id, newest.conversation.id)
        held = self._held.get(key, [])
        older = [each for each in held if each.id < newest.id]
        self._held[key] = [each for each in held if each.id >= newest.id]
        self._unread[user.id] -= len(older)
        for each in older:
            data = {"notification": {"id": each.id}, **self._counts(user)}
            self._broadcasts.frozen([user.pubsub_token], "notification.deleted", data)()

    def _counts(self, user: User) -> dict[str, int]:
        unread = self._unread.get(user.id, 0)
        return {"unread_count": unread, "count": unread}
