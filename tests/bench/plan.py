"""What all sides of a measurement agree on: how many sockets and rounds, the frames, the handshake's words, the pinning."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass

RUN = "0badcafe"
WARM_ROUNDS = 2


@dataclass(frozen=True)
class Plan:
    """In each round every socket gets one frame; the first rounds are not measured."""

    sockets: int
    rounds: int

    @property
    def measured(self) -> int:
        """How many events are measured."""
        return self.sockets * (self.rounds - WARM_ROUNDS)


def pin(core: int) -> None:
    """Pin this process, and what it starts, to the first (0) or the last (1) of the cores that the machine has."""
    cores = range(os.cpu_count() or 1)
    os.sched_setaffinity(0, {cores[min(core, len(cores) - 1)]})


def raise_limits() -> None:
    """Allow as many open files as the system lets us."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_us() -> float:
    """Return the CPU time of this process so far, user and system."""
    return time.process_time_ns() / 1e3


def identifier(n: int) -> str:
    """Return the RoomChannel identifier of socket `n`."""
    return json.dumps({"channel": "RoomChannel", "pubsub_token": f"{n:024d}"}, separators=(",", ":"))


def marker(number: int) -> str:
    """Return the marker of the reply with this number."""
    return f"lk{RUN}-0-r{number}"


def payload(n: int, number: int) -> bytes:
    """Return a customer's `message.created` broadcast of 1.3 kB, in the shape and the spelling of a real server's."""
    text = "Thank you for waiting. I looked into it and your parcel left our warehouse this morning."
    sender = {"id": 2, "name": "Grace Agent", "available_name": "Grace", "avatar_url": "", "type": "user", "availability_status": "online"}
    conversation = {
        "assignee_id": 2,
        "unread_count": 1,
        "last_activity_at": 1795468954,
        "contact_inbox": {"source_id": f"ee3e108d-9c6a-477b-8f7a-{n:012d}"},
    }
    data = {
        "id": number + 1,
        "content": text,
        "account_id": 1,
        "inbox_id": 1,
        "conversation_id": n + 1,
        "message_type": 1,
        "created_at": 1795468954,
        "updated_at": "2026-11-23T21:22:34.213Z",
        "private": False,
        "status": "sent",
        "source_id": marker(number),
        "content_type": "text",
        "content_attributes": {},
        "sender_type": "User",
        "sender_id": 2,
        "external_source_ids": {},
        "additional_attributes": {},
        "processed_message_content": text,
        "sentiment": {},
        "conversation": conversation,
        "echo_id": marker(number),
        "sender": sender | {"thumbnail": "https://chat.example/rails/active_storage/representations/redirect/" + "e" * 216},
    }
    return json.dumps({"identifier": identifier(n), "message": {"event": "message.created", "data": data}}, separators=(",", ":")).encode()
