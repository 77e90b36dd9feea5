"""Who asks over the agent API, and what they may see: the checks that come before any of its actions, and its words for a refusal."""

from __future__ import annotations

from typing import Any, TypeVar

from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, refusal
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import ACCOUNT, Store

__all__ = ["ACCOUNT_PATH", "admin_of", "conversation_of", "ids", "known", "not_allowed", "required", "user_of", "wrong"]

ACCOUNT_PATH = "/api/v1/accounts/{account}"

_Row = TypeVar("_Row")


def user_of(store: Store, request: Request) -> User:
    """Return whose token it is. Raises Refused (401, or 404 for another account)."""
    if request.token is None:
        raise Refused(refusal(401, {"errors": ["You need to sign in or sign up before continuing."]}))
    if (user := store.user(request.token)) is None:
        raise Refused(refusal(401, {"error": "Invalid Access Token"}))
    if "account" in request.fills and request.fills["account"] != str(ACCOUNT):
        raise Refused(not_found())
    return user


def admin_of(store: Store, request: Request) -> User:
    """Return the administrator whose token it is. Raises Refused (401 for everybody else)."""
    user = user_of(store, request)
    if user.role != "administrator":
        raise Refused(not_allowed())
    return user


def conversation_of(store: Store, request: Request, user: User) -> Conversation:
    """Return the conversation of a path. Raises Refused (404, or 401 where the user is no member of its inbox)."""
    conversation = known(store.conversations.get(as_id(request.fills["conversation"])))
    if not store.sees(user, conversation.inbox):
        raise Refused(not_allowed())
    return conversation


def known(row: _Row | None) -> _Row:
    """Return a row. Raises Refused (404, in the agent API's words) for None."""
    if row is None:
        raise Refused(not_found())
    return row


def required(request: Request, key: str) -> Any:
    """Return a parameter that must be there. Raises Refused (422)."""
    value = request.params.get(key)
    if value in (None, "", [], {}):
        raise Refused(wrong(f"param is missing or the value is empty: {key}"))
    return value


def ids(value: Any) -> list[int]:
    """Return the integers of a list; ids as text are none, as the real server subtracts them from integers."""
    return [each for each in value if isinstance(each, int) and not isinstance(each, bool)] if isinstance(value, list) else []


def not_found() -> Answer:
    """Return the agent API's own 404."""
    return refusal(404, {"error": "Resource could not be found"})


def not_allowed() -> Answer:
    """Return the answer to who may not do that: a 401, not a 403."""
    return refusal(401, {"error": "You are not authorized to do this action"})


def wrong(text: str) -> Answer:
    """Return the answer for what cannot be done with these parameters."""
    return refusal(422, {"error": text})
