"""A server of another release: unknown events, unknown keys and missing ones are counted, and nothing else changes."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from tests.sandbox.client import ask
from tests.support import eventually
from tests.system.driver import RAPID, SandboxProcess, finish, goes_on, partition_holds, start

CUSTOMERS, AGENTS = 8, 2
KNOWN = [
    ("conversation.typing_on", {"conversation": {"id": 1}, "user": {}, "is_private": True, "mood": "😀"}),
    ("message.created", {"holo": {"deep": [[[1]]]}}),
    ("message.updated", None),
    ("presence.update", {"users": [], "more": 1}),
]
UNKNOWN = [("holo.created", {}), ("order.update", {"order": {"id": 1}}), ("größe.geändert", 7), ("call.rejected", [])]
NAMELESS: list[Any] = [{"data": {}}, {"event": None}, {"event": 7, "data": {}}, {"event": ["a"]}, {}, [], "text", 7, None]


def tell(box: SandboxProcess, message: Any) -> int:
    """Let the server write a message to every subscription; return how many there are."""
    raw = json.dumps(message, ensure_ascii=False).encode()
    return int(ask(box.first["control"], "POST", "/tell", raw=raw).json()["told"])


def test_what_is_unknown_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    """Each strange frame is counted once a subscription, under its event's name, and every reply arrives on time all the while."""
    box = SandboxProcess(tmp_path, "--service", "none")
    try:
        process = start(
            tmp_path / "reports", str(RAPID), "--target", str(box.target), "-u", str(CUSTOMERS), "-r", str(CUSTOMERS), "-t", "60s",
            "--agents", str(AGENTS), "--log-deliveries", "--quiet",
        )  # fmt: skip

        def everybody() -> bool:
            state = ask(box.first["control"], "GET", "/state").json()
            return bool(state["subscriptions"] == CUSTOMERS + AGENTS and state["replies"]["total"] > 20)

        eventually(everybody, within=40)
        told: Counter[str] = Counter()
        for name, data in [*KNOWN, *UNKNOWN]:
            for _ in range(3):
                told[name] += tell(box, {"event": name, "data": data, "version": 9})
        nameless = sum(tell(box, message) for message in NAMELESS)
        holed = tell(box, {"event": "message.created", "data": {"echo_id": next(iter(box.truth()))}})
        goes_on(tmp_path / "reports", 2)
        process.send_signal(signal.SIGTERM)
        done = finish(tmp_path / "reports", process)
    finally:
        box.stop()
    summary, truth = done.summary, box.truth()
    frames = {name: row["count"] for name, row in summary["frames"].items()}
    assert set(told.values()) == {3 * (CUSTOMERS + AGENTS)}
    assert {name: frames[name] for name, _ in UNKNOWN} == {name: told[name] for name, _ in UNKNOWN}
    assert all(frames[name] >= told[name] and summary["frames"][name]["bytes"] > 0 for name in told)
    assert frames["?"] == nameless == len(NAMELESS) * (CUSTOMERS + AGENTS)
    assert truth.keys() == done.deliveries.keys()
    assert summary["replies"]["on_time"] == summary["replies"]["attempted"] == len(truth)
    assert partition_holds(summary)
    assert summary["counters"].get("cable.dropped", 0) == 0
    assert [(row["kind"], row["count"]) for row in summary["errors"]] == [("missing_key", holed)], summary["errors"]
    assert summary["validity"]["state"] != "void"
