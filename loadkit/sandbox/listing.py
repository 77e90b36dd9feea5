"""The agent API's list of conversations: which ones a request means, how they count, and one page of them."""

from __future__ import annotations

from loadkit.sandbox.exchange import Request
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import Store

__all__ = ["Listing"]

PAGE = 25
ORDERS = {
    "last_activity_at": lambda each: (each.last_activity_at, each.id),
    "created_at": lambda each: (each.created_at, each.id),
    "waiting_since": lambda each: (each.waiting_since or 0, each.id),
}


class Listing:
    """The conversations that a request asks for and its user may see: by status, inbox, session, labels and text."""

    def __init__(self, store: Store, request: Request, user: User) -> None:
        self._request = request
        labels = request.params.get("labels")
        self._labels = {str(each) for each in labels} if isinstance(labels, list) else set()
        held = [each for each in store.conversations.values() if store.sees(user, each.inbox) and self._asked(each)]
        self._groups = {
            "me": [each for each in held if each.assignee is user],
            "assigned": [each for each in held if each.assignee],
            "unassigned": [each for each in held if each.assignee is None],
            "all": held,
        }

    def _asked(self, conversation: Conversation) -> bool:
        request = self._request
        status, inbox = request.text("status") or "open", request.number("inbox_id")
        source_id, words = request.text("source_id"), (request.text("q") or "").lower()
        return (
            (status == "all" or conversation.status == status)
            and (inbox is None or conversation.inbox.id == inbox)
            and (source_id is None or conversation.session.source_id == source_id)
            and (not self._labels or bool(self._labels & set(conversation.labels)))
            and (not words or any(words in (each.content or "").lower() for each in conversation.messages))
        )

    def counts(self) -> dict[str, int]:
        """Return how many there are: the user's own, assigned, unassigned, all."""
        names = {"mine_count": "me", "assigned_count": "assigned", "unassigned_count": "unassigned", "all_count": "all"}
        return {name: len(self._groups[group]) for name, group in names.items()}

    def page(self) -> list[Conversation]:
        """Return the page that is asked for, in the order that is asked for."""
        chosen = self._groups.get(self._request.text("assignee_type") or "all", self._groups["all"])
        name, _, direction = (self._request.text("sort_by") or "last_activity_at_desc").rpartition("_")
        order = ORDERS.get(name, ORDERS["last_activity_at"])
        first = (max(1, self._request.number("page") or 1) - 1) * PAGE
        return sorted(chosen, key=order, reverse=direction != "asc")[first : first + PAGE]
