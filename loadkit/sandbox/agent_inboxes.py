"""The agent API's inboxes and who works in them: made, changed and removed by administrators."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

from loadkit.chat import routes
from loadkit.sandbox import agent_views
from loadkit.sandbox.agent_access import ACCOUNT_PATH, admin_of, ids, known, not_allowed, required, user_of, wrong
from loadkit.sandbox.events import Events
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, empty, invalid, json_answer
from loadkit.sandbox.params import is_true
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.removal import remove_inbox
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Inbox, User
from loadkit.sandbox.settings import InboxSettings
from loadkit.sandbox.store import Store

__all__ = ["InboxApi"]

INBOXES = routes.AGENT_INBOX_LIST.template
MEMBERS = ACCOUNT_PATH + "/inbox_members"
DELETION = "Your inbox deletion request will be processed in some time."
BAD_NAME = "Name should not start or end with symbols, and it should not have < > / \\ @ characters."
OF_CHANNEL = ("webhook_url", "additional_attributes")

_NAME = re.compile(r"\b[^/\\<>@]*\b", re.DOTALL)


class InboxApi:
    """The actions on inboxes and their members."""

    def __init__(self, store: Store, presence: Presence, events: Events) -> None:
        self._store = store
        self._presence = presence
        self._events = events

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("GET", INBOXES, self.list_inboxes)
        router.add("POST", INBOXES, self.create_inbox)
        router.add("GET", INBOXES + "/{inbox}", self.show_inbox)
        router.add("DELETE", INBOXES + "/{inbox}", self.delete_inbox)
        router.add("GET", MEMBERS + "/{inbox}", self.list_members)
        router.add("POST", MEMBERS, self.add_members)
        router.add("DELETE", MEMBERS, self.remove_members)
        for method in ("PATCH", "PUT"):
            router.add(method, INBOXES + "/{inbox}", self.update_inbox)
            router.add(method, MEMBERS, self.replace_members)

    def list_inboxes(self, request: Request) -> Answer:
        """GET the inboxes that the user sees."""
        user = user_of(self._store, request)
        seen = [inbox for inbox in self._store.inboxes if self._store.sees(user, inbox)]
        return json_answer({"payload": [_row(inbox, user) for inbox in seen]})

    def show_inbox(self, request: Request) -> Answer:
        """GET one inbox."""
        user = user_of(self._store, request)
        inbox = self._inbox(as_id(request.fills["inbox"]))
        if not self._store.sees(user, inbox):
            raise Refused(not_allowed())
        return json_answer(_row(inbox, user))

    def create_inbox(self, request: Request) -> Answer:
        """POST an inbox with an API channel; it has no members yet."""
        admin = admin_of(self._store, request)
        required(request, "channel")
        channel = request.attributes("channel")
        if channel.get("type") != "api":
            raise Refused(wrong("only channels of type api can be made here"))
        name, settings = _name(request.text("name") or ""), _settings(request, InboxSettings())
        inbox = self._store.add_inbox(name, mandatory=is_true(channel.get("hmac_mandatory")), settings=settings)
        self._events.caches_changed(admin)
        return json_answer(_row(inbox, admin))

    def update_inbox(self, request: Request) -> Answer:
        """PATCH an inbox under the same names."""
        admin = admin_of(self._store, request)
        inbox = self._inbox(as_id(request.fills["inbox"]))
        inbox.name = _name(request.text("name") or inbox.name)
        inbox.settings = _settings(request, inbox.settings)
        if "hmac_mandatory" in (channel := request.attributes("channel")):
            inbox.hmac_mandatory = is_true(channel["hmac_mandatory"])
        self._events.caches_changed(admin)
        return json_answer(_row(inbox, admin))

    def delete_inbox(self, request: Request) -> Answer:
        """DELETE an inbox with its conversations: a later job does it."""
        admin = admin_of(self._store, request)
        inbox = self._inbox(as_id(request.fills["inbox"]))

        def job() -> None:
            if inbox in self._store.inboxes:
                remove_inbox(self._store, inbox)
                self._events.caches_changed(admin)

        self._events.later(job)()
        return json_answer({"message": DELETION})

    def list_members(self, request: Request) -> Answer:
        """GET the members of an inbox."""
        user_of(self._store, request)
        return self._members(self._inbox(as_id(request.fills["inbox"])))

    def add_members(self, request: Request) -> Answer:
        """POST further members; who is one already stays one."""
        inbox, users = self._changed(request)
        inbox.members += [user for user in users if user not in inbox.members]
        return self._members(inbox)

    def replace_members(self, request: Request) -> Answer:
        """PATCH the members to be these and no others."""
        inbox, users = self._changed(request)
        inbox.members = users
        return self._members(inbox)

    def remove_members(self, request: Request) -> Answer:
        """DELETE members."""
        inbox, users = self._changed(request)
        inbox.members = [user for user in inbox.members if user not in users]
        return empty()

    def _changed(self, request: Request) -> tuple[Inbox, list[User]]:
        admin_of(self._store, request)
        inbox, wanted = self._inbox(request.number("inbox_id")), ids(request.params.get("user_ids"))
        return inbox, [known(self._store.user_by_id(number)) for number in dict.fromkeys(wanted)]

    def _inbox(self, number: int | None) -> Inbox:
        return known(self._store.inbox_by_id(number))

    def _members(self, inbox: Inbox) -> Answer:
        return json_answer({"payload": [agent_views.agent_row(user, self._presence.availability) for user in inbox.members]})


def _row(inbox: Inbox, user: User) -> dict[str, Any]:
    return agent_views.inbox_row(inbox, with_hmac_token=user.role == "administrator")


def _name(name: str) -> str:
    if not name:
        raise Refused(invalid("Name can't be blank", "name"))
    if not _NAME.fullmatch(name):
        raise Refused(invalid(BAD_NAME, "name"))
    return name


def _settings(request: Request, settings: InboxSettings) -> InboxSettings:
    """Return the settings with what a request says about them, each as its column takes it."""
    given = {**request.params, **{key: value for key, value in request.attributes("channel").items() if key in OF_CHANNEL}}
    changes: dict[str, Any] = {}
    for field in fields(settings):
        if field.name not in given or field.name == "working_hours":
            continue
        value, now = given[field.name], getattr(settings, field.name)
        if isinstance(now, bool):
            changes[field.name] = is_true(value)
        elif isinstance(now, dict):
            changes[field.name] = value if isinstance(value, dict) else {}
        else:
            changes[field.name] = str(value) if value not in (None, "") else None
    days = request.params.get("working_hours")
    changed = replace(settings, **changes)
    return changed.with_hours(days) if isinstance(days, list) else changed
