"""Who asks over the agent API, and what they may see: the checks that come before any of its actions."""

from __future__ import annotations

from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, refusal
from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import ACCOUNT, Store

__all__ = ["conversation_of", "user_of", "wrong"]


def user_of(store: Store, request: Request) -> User:
    """Return whose token it is. Raises Refused (401, or 404 for another account)."""
    if request.token is None:
        raise Refused(refusal(401, {"errors": ["You need to sign in or sign up before continuing."]}))
    if (user := store.user(request.token)) is None:
        raise Refused(refusal(401, {"error": "Invalid Access Token"}))
    if "account" in request.fills and request.fills["account"] != str(ACCOUNT):
        raise Refused(not_found())
    return user


def conversation_of(store: Store, request: Request, user: User) -> Conversation:
    """Return the conversation of a path. Raises Refused (404, or 401 where the user is no member of its inbox)."""
    conversation = store.conversations.get(as_id(request.fills["conversation"]))
    if conversation is None:
        raise Refused(not_found())
    if not store.sees(user, conversation.inbox):
        raise Refused(refusal(401, {"error": "You are not authorized to do this action"}))
    return conversation


def not_found() -> Answer:
    """Return the agent API's own 404."""
    return refusal(404, {"error": "Resource could not be found"})


def wrong(text: str) -> Answer:
    """Return the answer for a message that cannot be saved."""
    return refusal(422, {"error": text})
