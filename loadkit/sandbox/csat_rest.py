"""The Client API's satisfaction survey: shown and answered by the conversation's uuid alone."""

from __future__ import annotations

from typing import Any

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import views
from loadkit.sandbox.actions import Actions
from loadkit.sandbox.automatic import CSAT
from loadkit.sandbox.exchange import Answer, Refused, Request, failure, found, json_answer, refusal
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import Message
from loadkit.sandbox.store import Store

__all__ = ["CsatApi", "answer_of", "too_late", "too_old"]

OPEN_US = 14 * 24 * 3600 * 1_000_000


def answer_of(values: Any) -> dict[str, Any] | None:
    """Return the survey's answer among submitted values, or None: only its two fields are taken."""
    answer = values.get("csat_survey_response") if isinstance(values, dict) else None
    if not isinstance(answer, dict):
        return None
    return {key: answer[key] for key in ("feedback_message", "rating") if key in answer}


def too_old(message: Message) -> bool:
    """Return whether a message is a survey that takes no answer any more: after 14 days."""
    return message.content_type == CSAT and clock.unix_us() - message.created_at > OPEN_US


def too_late() -> Answer:
    """Return the answer to whoever answers such a one."""
    return refusal(422, {"error": "You cannot update the CSAT survey after 14 days"})


class CsatApi:
    """The two actions on a survey."""

    def __init__(self, store: Store, actions: Actions) -> None:
        self._store = store
        self._actions = actions

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("GET", routes.CSAT_SHOW.template, self.show)
        for method in ("PATCH", "PUT"):
            router.add(method, routes.CSAT_UPDATE.template, self.update)

    def _survey(self, request: Request) -> Message:
        uuid = request.fills["uuid"]
        conversation = found(next((each for each in self._store.conversations.values() if each.uuid == uuid), None))
        return found(next((each for each in conversation.messages if each.content_type == CSAT), None))

    def show(self, request: Request) -> Answer:
        """GET the survey of a conversation; one without is a 404."""
        return json_answer(views.public_csat(self._survey(request)))

    def update(self, request: Request) -> Answer:
        """PATCH the answer; the response it makes is not there yet in this very answer."""
        message = self._survey(request)
        if too_old(message):
            raise Refused(too_late())
        posted = request.params.get("message")
        if not isinstance(posted, dict):
            raise Refused(failure(500))
        if (answer := answer_of(posted.get("submitted_values"))) is not None:
            if self._store.flooded(message.conversation):
                raise Refused(failure(500))
            self._actions.submit(message, {"csat_survey_response": answer})
        return json_answer(views.public_csat(message))
