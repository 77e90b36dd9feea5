"""A first look at the target, before any load: is it there, does it know the inbox and the agents, does its cable confirm one of them.

It creates nothing. What is wrong is said in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loadkit.cable.connection import Cable
from loadkit.cable.frames import room_identifier
from loadkit.cable.receiver import Receiver
from loadkit.chat import models, routes
from loadkit.chat.agent import AgentClient
from loadkit.chat.contact import ContactApi
from loadkit.chat.http import Connection
from loadkit.errors import AnswerError, LoadkitError, RemoteProtocolError, TargetError, TransportError
from loadkit.target import Target

__all__ = ["Look", "look"]

PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the first look found: the agents' profiles, a token each, and the account they work in."""

    profiles: tuple[models.Profile, ...]
    account: int
    notes: tuple[str, ...] = ()


def look(target: Target, *, confirm_timeout: float = 10.0) -> Look:
    """Look at a target once. Raises TargetError with one sentence."""
    try:
        _look_at_inboxes(target)
        profiles = tuple(_profile(target, n) for n in range(len(target.agent_tokens)))
        account = _account(target, profiles)
        notes = _look_at_members(target, account)
        _look_at_cable(target, profiles[0], account, confirm_timeout)
    except TransportError as error:
        raise TargetError(f"{target.host} gave no answer: {error}") from None
    return Look(profiles, account, tuple(notes))


def _look_at_inboxes(target: Target) -> None:
    connection = Connection(target.host, timeout=PATIENCE)
    try:
        for inbox in target.inboxes:
            request = ContactApi(inbox).show_inbox()
            answer = connection.exchange(request.route.method, request.path)
            if answer.status == 404:
                raise TargetError(f"{target.host} knows no inbox {inbox!r}")
            shown: models.Inbox = _checked(answer, models.Inbox, f"{target.host} does not answer as OneHash Chat does: its inbox")
            if shown.identity_validation_enabled and not target.hmac_token:
                raise TargetError(
                    f"inbox {inbox!r} demands HMAC (hmac_mandatory): give hmac_token in the target file, or LOADKIT_HMAC_TOKEN"
                )
    finally:
        connection.close()


def _checked(answer: Any, shape: Any, where: str) -> Any:
    try:
        answer.check(where)
        return models.decode(answer.body, shape, where)
    except (AnswerError, RemoteProtocolError) as error:
        raise TargetError(str(error)) from None


def _agent(target: Target, n: int) -> AgentClient:
    return AgentClient(target.host, target.agent_tokens[n], account=target.account, connections=1, timeout=PATIENCE)


def _profile(target: Target, n: int) -> models.Profile:
    which = f"agent token {n + 1} of {len(target.agent_tokens)}"
    client = _agent(target, n)
    try:
        return client.profile()
    except AnswerError as error:
        if error.status == 401:
            raise TargetError(f"{target.host} does not accept {which}: it answers 401") from None
        raise TargetError(f"{which} cannot be used: {error}") from None
    except RemoteProtocolError as error:
        raise TargetError(f"{which} cannot be used: {error}") from None
    finally:
        client.close()


def _account(target: Target, profiles: tuple[models.Profile, ...]) -> int:
    first = profiles[0]
    account = target.account or first.account_id or next((one.id for one in first.accounts), None)
    if account is None:
        raise TargetError("the agent's profile names no account: give `account` in the target file, or --account")
    for n, profile in enumerate(profiles, 1):
        if profile.accounts and account not in {one.id for one in profile.accounts}:
            raise TargetError(f"agent {n} of {len(profiles)} (user {profile.id}) does not belong to account {account}")
    return account


def _look_at_members(target: Target, account: int) -> list[str]:
    """Check that every agent may answer in every inbox; a server that does not tell is taken on trust, and a note says so."""
    for n in range(len(target.agent_tokens)):
        client = _agent(target, n)
        try:
            answer = client.call(routes.AGENT_INBOX_LIST, account=account)
            answer.check("the agent's inbox list")
            inboxes = models.decode(answer.body, models.AgentInboxes, "the agent's inbox list").payload
        except (AnswerError, RemoteProtocolError) as error:
            return [f"whether the agents are members of the inbox was not to be seen: {error}"]
        finally:
            client.close()
        known = {one.inbox_identifier for one in inboxes}
        if known == {None}:
            return ["whether the agents are members of the inbox was not to be seen: the list names no inbox identifiers"]
        for inbox in target.inboxes:
            if inbox not in known:
                raise TargetError(f"agent {n + 1} of {len(target.agent_tokens)} is not a member of inbox {inbox!r}")
    return []


class _Silent:
    """A watcher that only waits for the outcome of `open`."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def _look_at_cable(target: Target, profile: models.Profile, account: int, confirm_timeout: float) -> None:
    receiver = Receiver(b"lk")
    identifier = room_identifier(profile.pubsub_token, account_id=account, user_id=profile.id)
    where = f"the cable at {urlsplit(target.host).netloc}{routes.CABLE}"
    cable = Cable(
        target.cable_url + routes.CABLE,
        identifier,
        receiver=receiver,
        watcher=_Silent(),
        confirm_timeout=confirm_timeout,
        reconnect="never",
    )
    try:
        cable.open()
    except TransportError as error:
        if error.kind == "unconfirmed":
            raise TargetError(f"{where} never confirmed an agent's subscription within {confirm_timeout:g} s") from None
        raise TargetError(f"{where} cannot be used: {error}") from None
    except LoadkitError as error:
        raise TargetError(f"{where} cannot be used: {error}") from None
    finally:
        cable.close()
        receiver.close()
