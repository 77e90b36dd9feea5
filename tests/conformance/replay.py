"""Plays a recorded walk against a sandbox, step by step, putting this server's tokens and ids in the place of the recorded ones."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from loadkit.sandbox import Sandbox
from tests.sandbox.client import Reply, Wire, ask
from tests.support import eventually

GOLDEN = Path(__file__).with_name("golden") / "onehash-4.2.0.jsonl"

SECRETS = frozenset(("source_id", "pubsub_token", "access_token", "uuid", "hmac_token", "inbox_identifier"))
ID_IN_PATH = {
    "conversations": re.compile(r"(/conversations/)(\d+)"),
    "messages": re.compile(r"(/messages/|[?&]before=)(\d+)"),
}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@dataclass
class Step:
    """A recorded step: what was done, and what each socket heard."""

    name: str
    done: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, list[Any]] = field(default_factory=dict)


@dataclass
class Played:
    """What the sandbox did in a step: answers in order, and what each socket heard."""

    answers: list[Reply]
    heard: dict[str, list[Any]]


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a recording; only a newline ends one, for U+2028 stands raw in some."""
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def steps(path: Path = GOLDEN) -> list[Step]:
    """Return the recording, pings left out. Two steps of one name in a row are one."""
    found: dict[str, Step] = {}
    for row in rows(path):
        step = found.setdefault(row["step"], Step(row["step"]))
        if row["kind"] == "frame":
            if row["frame"].get("type") != "ping":
                step.heard.setdefault(row["socket"], []).append(row["frame"])
        else:
            step.done.append(row)
    return list(found.values())


def name_of(frame: Any) -> str:
    """Return the event of a data frame, else the frame's type."""
    return str(frame.get("type") or frame["message"]["event"])


class Replay:
    """One walk: `known` maps recorded secrets to this server's, `ids` recorded conversation and message ids."""

    def __init__(self, sandbox: Sandbox, recording: list[Step]) -> None:
        self._sandbox = sandbox
        self._sockets: dict[str, Wire] = {}
        self._ids: dict[tuple[str, str], str] = {}
        first = {step.name: step.done[0] for step in recording if step.done}
        store = sandbox.store
        inboxes = first["agent.inboxes.admin"]["response"]["body"]["payload"]
        self._known = {inboxes[n]["inbox_identifier"]: store.inboxes[n].identifier for n in range(2)}
        self._keys = {inboxes[n]["hmac_token"]: store.inboxes[n].hmac_token for n in range(2)}
        for step, user in (("agent.inboxes.admin", 0), ("agent.profile", 1), ("agent.reply.not_member", 2)):
            self._known[first[step]["request"]["headers"]["Api-Access-Token"]] = store.users[user].access_token
        self._known[first["agent.profile"]["response"]["body"]["pubsub_token"]] = store.users[1].pubsub_token

    def play(self, step: Step) -> Played:
        """Do what was done in a step and return what came of it."""
        before = {name: len(wire.frames) for name, wire in self._sockets.items()}
        answers = [answer for row in step.done if (answer := self._do(row)) is not None]
        self._settle(step, before)
        heard = {name: wire.frames[before.get(name, 0) :] for name, wire in self._sockets.items()}
        return Played(answers, {name: frames for name, frames in heard.items() if frames})

    def close(self) -> None:
        for wire in self._sockets.values():
            wire.close()

    def _do(self, row: dict[str, Any]) -> Reply | None:
        if row["kind"] == "open":
            offered = ("actioncable-v1-json", "actioncable-unsupported") if row["subprotocol"] else ()
            wire = self._sockets[row["socket"]] = Wire(self._sandbox.url, protocols=offered)
            assert wire.ws.getsubprotocol() == row["subprotocol"]
            return None
        if row["kind"] == "send":
            self._sockets[row["socket"]].say(self._translated(row["text"]))
            return None
        return self._request(row["request"], row["response"])

    def _request(self, request: dict[str, Any], recorded: dict[str, Any]) -> Reply:
        headers = {key: self._translated(value) for key, value in request["headers"].items()}
        body, raw = request["body"], None
        if body == "<9 raw bytes>":
            raw = b'{"name": '
        elif isinstance(body, str):
            raw = multipart(headers["Content-Type"].partition("boundary=")[2])
        elif body is not None:
            raw = json.dumps(self._proven(json.loads(self._translated(json.dumps(body))))).encode()
        path = self._path(request["path"])
        answer = ask(self._sandbox.url, request["method"], path, headers=headers, raw=raw)
        if recorded["body"] and answer.status == recorded["status"]:
            self._learn(recorded["body"], answer.json(), _kind_of(request["path"]))
        return answer

    def _path(self, path: str) -> str:
        path = self._translated(path)
        for kind, pattern in ID_IN_PATH.items():
            path = pattern.sub(lambda match, kind=kind: match[1] + self._ids.get((kind, match[2]), match[2]), path)
        head, _, query = path.partition("?")
        if "identifier_hash=" not in query:
            return path
        fields = self._proven(dict(pair.split("=", 1) for pair in query.split("&")))
        return head + "?" + "&".join(f"{key}={value}" for key, value in fields.items())

    def _translated(self, text: str) -> str:
        for old, new in self._known.items():
            text = text.replace(old, new)
        return text

    def _proven(self, fields: Any) -> Any:
        """Sign an identifier anew where its recorded proof was right."""
        for old, new in self._keys.items():
            if isinstance(fields, dict) and fields.get("identifier_hash") == _proof(old, fields.get("identifier", "")):
                return fields | {"identifier_hash": _proof(new, fields["identifier"])}
        return fields

    def _learn(self, recorded: Any, answered: Any, kind: str) -> None:
        if isinstance(recorded, dict) and isinstance(answered, dict):
            if isinstance(recorded.get("id"), int) and "id" in answered:
                self._ids[(kind, str(recorded["id"]))] = str(answered["id"])
            for key in recorded.keys() & answered.keys():
                if key in SECRETS and isinstance(recorded[key], str) and len(recorded[key]) > 20:
                    self._known[recorded[key]] = answered[key]
                elif isinstance(recorded[key], dict | list):
                    self._learn(recorded[key], answered[key], key)
        elif isinstance(recorded, list) and isinstance(answered, list):
            for left, right in zip(recorded, answered, strict=False):
                self._learn(left, right, kind)

    def _settle(self, step: Step, before: dict[str, int]) -> None:
        """Wait for what must come, then until nothing else can: jobs run in the turns that a request takes, frames before a pong."""
        for name, frames in step.heard.items():
            wire, wanted = self._sockets[name], Counter(map(name_of, frames))
            try:
                eventually(partial(_came, wire, before.get(name, 0), wanted), within=3)
            except AssertionError:
                continue  # the comparison will name what is missing
        for _ in range(3):
            ask(self._sandbox.control, "GET", "/state")
        for wire in self._sockets.values():
            wire.settle()


def _came(wire: Wire, first: int, wanted: Counter[str]) -> bool:
    return wanted <= Counter(map(name_of, wire.frames[first:]))


def _kind_of(path: str) -> str:
    plain = path.partition("?")[0]
    return "messages" if "/messages" in plain else "conversations" if "/conversations" in plain else "others"


def _proof(key: str, identifier: str) -> str:
    return hmac.new(key.encode(), identifier.encode(), hashlib.sha256).hexdigest()


def multipart(boundary: str) -> bytes:
    mark = f"--{boundary}".encode()
    text = b'Content-Disposition: form-data; name="content"\r\n\r\nwith file'
    file = b'Content-Disposition: form-data; name="attachments[]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + PNG
    return b"\r\n".join((mark, text, mark, file, mark + b"--", b""))
