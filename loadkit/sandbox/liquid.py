"""The little of Liquid that agents' messages need: variables of the conversation at hand are filled in, everything else is left alone.

A template that is wrong anywhere is kept as it was written, and so is one with a tag, of which none is known here; text between
backticks is never touched.
"""

from __future__ import annotations

import re

from loadkit.sandbox.rows import Conversation, User
from loadkit.sandbox.store import ACCOUNT_NAME

__all__ = ["rendered"]

_CODE = re.compile(r"(`[^`]*`)")
_VARIABLE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


def rendered(content: str | None, conversation: Conversation, user: User) -> str | None:
    """Return a text with its variables filled in; one that is not known becomes nothing."""
    if content is None or "{{" not in content:
        return content
    parts = _CODE.split(content)
    plain = "".join(parts[::2])
    rest = _VARIABLE.sub("", plain)
    if any(mark in rest for mark in ("{{", "}}", "{%", "%}")):
        return content
    values = _values(conversation, user)
    parts[::2] = [_VARIABLE.sub(lambda match: values.get(match[1], ""), part) for part in parts[::2]]
    return "".join(parts)


def _values(conversation: Conversation, user: User) -> dict[str, str]:
    contact = conversation.contact
    values = {
        "contact.email": contact.email or "",
        "contact.phone_number": contact.phone_number or "",
        "conversation.display_id": str(conversation.id),
        "conversation.id": str(conversation.id),
        "inbox.name": conversation.inbox.name,
        "account.name": ACCOUNT_NAME,
    }
    for who, name in (("contact", contact.name), ("agent", user.name)):
        words = [word.capitalize() for word in name.split()]
        values[f"{who}.name"] = " ".join(words)
        values[f"{who}.first_name"] = words[0] if words else ""
        values[f"{who}.last_name"] = words[-1] if len(words) > 1 else ""
    return values
