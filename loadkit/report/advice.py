"""What to look at next: rules over a run's numbers, the gravest first. A rule that has nothing to say returns None.

Longer than other modules, because a run's hints must agree with each other: what one says, another may have to leave unsaid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadkit import units
from loadkit.errors import TransportError
from loadkit.measure.recorder import KNOWN_DEFECT
from loadkit.report import stages
from loadkit.report.outage import Outage, outage, reason_of, silence
from loadkit.report.sentences import many, waiting_share
from loadkit.results.reader import Run

__all__ = ["MOST_HINTS", "PLACES", "Hint", "advice"]

MOST_HINTS = 4
PLACES = {
    "arrivals": "arrivals",
    "ends": "what became of the replies",
    "errors": "errors",
    "health": "can the measurement be believed",
    "http": "HTTP",
    "load": "sockets and customers",
    "replies": "replies to look into",
    "settings": "what was run",
    "time": "over the run",
    "where": "where the time went",
    "workers": "workers",
}
"""Sections of the page that a hint may point to, by their anchors."""

_PROVING = ("contact.create", "contact.show", "contact.update")
"""Requests that carry the proof of an identity."""

_SLOW_MS = 1000.0
_SUSPECTS = {
    "before_save": "before the server had saved the reply: its web processes, their threads or the database are the first suspects.",
    "after_save": "after the server had saved the reply: look at its background jobs (the queue that broadcasts) and cable workers.",
}


@dataclass(frozen=True, slots=True)
class Hint:
    """A sentence, and one of PLACES that shows more (empty for none)."""

    text: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the rules read; `outage` and `silent` are what is known of a target that was away, looked for once."""

    run: Run
    summary: dict[str, Any]
    outage: Outage | None
    silent: tuple[float, int] | None

    def p(self, name: str, percentile: str) -> float:
        """Return a percentile in ms, 0 where there is no data: no rule speaks then."""
        return self.summary["metrics"].get(name, {}).get(percentile) or 0.0

    def n(self, name: str) -> int:
        """Return a counter, an end or a mark."""
        return self.run.totals.counters.get(name, 0)

    def taken(self, route: str) -> int:
        """Return how many requests of a route were answered well."""
        answered = self.summary["metrics"].get(f"http.{route}", {}).get("count", 0)
        return int(answered) - self.n(f"http.{route}.failed") + self.n(f"http.{route}.unanswered")

    @property
    def has_gone(self) -> bool:
        """Whether the target stopped answering: what agents and customers waited for then is no question of their number."""
        return _gone(self) is not None

    @property
    def agents_are_few(self) -> bool:
        """Whether questions waited long for a free agent, and not only for a target that was gone."""
        return self.p("desk.wait", "p95") >= _SLOW_MS and not self.has_gone


def advice(run: Run, summary: dict[str, Any]) -> list[Hint]:
    """Return at most four hints; one that says so where nothing stands out."""
    facts = _Facts(run, summary, outage(run), silence(run))
    hints = [hint for rule in _RULES if (hint := rule(facts)) is not None]
    return hints[:MOST_HINTS] or [Hint("Nothing stands out.")]


def _crashed(facts: _Facts) -> Hint | None:
    if facts.run.end is not None:
        return None
    last = units.seconds_text(facts.run.seconds)
    return Hint(f"The run's process died; its last interval ends {last} after the start. Look in its console and the kernel's log for why.")


def _gone(facts: _Facts) -> Hint | None:
    found, silent = facts.outage, facts.silent
    if found is not None and found.lasting:
        begin = f"From {units.seconds_text(found.first_s)} after the start on the target answered nothing more"
        return Hint(f"{begin}: {_missed(found)} could not reach it ({found.reason}).", "errors")
    if silent is None:
        return None
    since = f" later than {units.seconds_text(silent[0])} after the start" if silent[0] else ""
    return Hint(f"No answer came from the target{since}: {_requests(silent[1])} got none, and the cables fell silent.", "errors")


def _away(facts: _Facts) -> Hint | None:
    found = facts.outage
    if found is None or found.lasting:
        return None
    first, last = units.seconds_text(found.first_s), units.seconds_text(found.last_s)
    when = f"the first {first}, the last {last}" if first != last else first
    return Hint(f"{_missed(found)} could not reach the target ({found.reason}): {when} after the start.", "errors")


def _missed(found: Outage) -> str:
    tries = many(found.tries, "try to open a cable", "tries to open a cable") if found.tries else ""
    return " and ".join(filter(None, (_requests(found.requests) if found.requests else "", tries)))


def _shortage(facts: _Facts) -> Hint | None:
    rows = [row for row in facts.summary["errors"] if row["kind"].endswith(TransportError.SHORTAGE)]
    if not rows:
        return None
    opened = many(sum(row["count"] for row in rows), "connection", "connections")
    return Hint(
        f"The generator itself could not open {opened} ({reason_of(rows[0]['example'])}): raise its limit of open files (ulimit -n), or "
        "spread it over more machines.",
        "errors",
    )


def _hmac(facts: _Facts) -> Hint | None:
    """Say what may be wrong with proofs of identity where contacts are refused as a wrong or a missing one is, and none is taken."""
    has_key = facts.run.header.target.get("hmac")
    rows = [row for row in facts.summary["errors"] if row["where"] in _PROVING and row["kind"] in ("http_401", "http_500")]
    refused = next((row for row in rows if not facts.taken(row["where"])), None)
    if refused is None or has_key is None:
        return None
    begin = f"{refused['where']} was answered {refused['kind'].removeprefix('http_')} and never taken"
    if has_key:
        return Hint(f"{begin}: most likely the hmac_token of the target is not this inbox's key.", "errors")
    return Hint(f"{begin}, and the target has no hmac_token: set it if the inbox demands HMAC.", "errors")


def _nothing_attempted(facts: _Facts) -> Hint | None:
    if facts.n("reply.attempted"):
        return None
    errors = [row for row in facts.summary["errors"] if row["kind"] != KNOWN_DEFECT]
    if errors:
        kind, where = errors[0]["kind"], errors[0]["where"]
        return Hint(f"No agent attempted a reply. The most frequent error is {kind} at {where or 'an unnamed place'}.", "errors")
    if not facts.n("question.asked"):
        return Hint("No agent attempted a reply, and no customer asked a question: see whether customers were present.", "load")
    return Hint(
        "Questions were asked and no agent attempted a reply: see whether the agents' tokens are of members of the inbox.", "settings"
    )


def _misrouted(facts: _Facts) -> Hint | None:
    n = facts.n("reply.misrouted")
    return Hint(f"{_replies(n)} appeared on another contact's cable: treat this as a leak of private messages.", "replies") if n else None


def _throttled(facts: _Facts) -> Hint | None:
    n = facts.n("throttled")
    if not n:
        return None
    return Hint(
        f"429 was the answer to {_requests(n)}: the server throttled this harness, so this is no capacity result. Raise RACK_ATTACK_LIMIT "
        "on the server under test, or spread the load over more addresses.",
        "errors",
    )


def _generator(facts: _Facts) -> Hint | None:
    names = [reason["name"] for reason in facts.summary["validity"]["reasons"]]
    if not any(name.startswith("generator.") for name in names):
        return None
    return Hint(
        "The generator itself could not keep up: run it on a machine of its own, or spread it over more worker processes.", "health"
    )


def _workers(facts: _Facts) -> Hint | None:
    rows = facts.summary["workers"] if facts.run.end is not None else []
    lost, unstarted = sum(row["state"] == "lost" for row in rows), facts.n("schedule.dropped.worker_lost")
    if not lost and not unstarted:
        return None
    first = f"{many(lost, 'worker was', 'workers were')} lost" if lost else "A worker left"
    then = f", and {many(unstarted, 'arrival', 'arrivals')} of its share did not start" if unstarted else ""
    return Hint(f"{first}{then}: see which, when and why; its console and its machine's kernel log tell the rest.", "workers")


def _late_generator(facts: _Facts) -> Hint | None:
    n = facts.n("schedule.dropped.generator_late")
    if not n:
        return None
    return Hint(
        f"The generator was too late for {_arrivals(n)}, which did not start: give it more worker processes, or a machine of its own.",
        "arrivals",
    )


def _deaf(facts: _Facts) -> Hint | None:
    n = facts.n("cable.deaf")
    if not n:
        return None
    return Hint(
        f"{many(n, 'cable was', 'cables were')} open and pinged and yet heard nothing. A restart of Redis leaves a web process so until it "
        "is restarted itself; HTTP looks healthy all the while.",
        "load",
    )


def _lost(facts: _Facts) -> Hint | None:
    n = facts.n("reply.lost")
    if not n:
        return None
    named = any(event.get("kind") == "lost" and event.get("request_id") for event in facts.run.events)
    by = "for the X-Request-Ids of the lost replies" if named else "around the times of the lost replies, by their conversations"
    return Hint(f"{_replies(n)} never reached the customer: search the server's log {by}.", "replies")


def _recovered(facts: _Facts) -> Hint | None:
    n = facts.n("reply.recovered")
    if not n:
        return None
    when = ["after a reconnect"] if facts.summary["metrics"]["cable.reconnect"]["count"] else []
    if away := facts.n("cable.away"):
        when.append(f"when the run ended, as {many(away, 'cable', 'cables')} never came back")
    return Hint(
        f"{_replies(n)} did not come by cable and {'was' if n == 1 else 'were'} only read {' or '.join(when) or 'over HTTP'}. No response "
        "time counts them, so that these look quicker than the run was: see when cables were away.",
        "ends",
    )


def _missing_copies(facts: _Facts) -> Hint | None:
    n = facts.summary["copies"]["missing"]
    if n <= 0:
        return None
    return Hint(
        f"{many(n, 'further copy', 'further copies')} never reached another session of a verified contact: see whether cables were down "
        "then.",
        "load",
    )


def _cap(facts: _Facts) -> Hint | None:
    n = facts.n("schedule.dropped.cap_reached")
    if not n or facts.has_gone:
        return None
    begin = f"{_arrivals(n)} found all the customers that -u allows at once still there"
    if facts.agents_are_few and _waited_to_be_sent(facts) is None:
        wait = _ms(facts.p("desk.wait", "p95"))
        return Hint(f"{begin}: their questions waited {wait} at p95 for a free agent, which is not the server's doing.", "arrivals")
    return Hint(
        f"{begin}: the server is too slow for this rate of arrivals, or -u is too small for how long customers stay.",
        "arrivals",
    )


def _no_idle_user(facts: _Facts) -> Hint | None:
    n = facts.n("schedule.dropped.no_idle_user")
    if not n:
        return None
    return Hint(
        f"{_arrivals(n)} found no user ready: users were still being made ready, or an exception had ended them. See when that was.",
        "arrivals",
    )


def _waited_to_be_sent(facts: _Facts) -> Hint | None:
    share, lag = waiting_share(facts.run), facts.p("reply.lag", "p95")
    if share is None or share < 0.25 or lag < 100:
        return None
    return Hint(
        f"Replies waited to be sent, {_ms(lag)} at p95, before their first byte left: every connection of the agents was in use because "
        "the server answers too slowly for this load. Customers feel that wait although delivery looks quick.",
        "where",
    )


def _stage(facts: _Facts) -> Hint | None:
    """Say on which side of the saving most of the time went, where that is known well enough."""
    found = stages.slowest_stage(facts.summary)
    if found is None or found[0] not in _SUSPECTS or found[1] < 0.5 or facts.p("reply.response", "p95") < _SLOW_MS / 2:
        return None
    name, share = found
    return Hint(f"{units.share_text(round(share, 2))} of the time passed {_SUSPECTS[name]}", "where")


def _jobs_behind(facts: _Facts) -> Hint | None:
    delivery, post = facts.p("reply.delivery", "p95"), facts.p("reply.post", "p95")
    if _stage(facts) is not None or delivery < _SLOW_MS / 2 or delivery < 3 * post:
        return None
    return Hint(
        f"The server accepted replies in {_ms(post)} at p95, yet their frames took {_ms(delivery)}: look at its background jobs "
        "(the queue that broadcasts), not at its web processes.",
        "where",
    )


def _slow_posts(facts: _Facts) -> Hint | None:
    post = facts.p("reply.post", "p95")
    if _stage(facts) is not None or post < _SLOW_MS:
        return None
    return Hint(f"Accepting a reply took the server {_ms(post)} at p95: its web processes or threads are the first suspects.", "http")


def _few_agents(facts: _Facts) -> Hint | None:
    if not facts.agents_are_few:
        return None
    begin = f"Questions waited {_ms(facts.p('desk.wait', 'p95'))} at p95 for a free agent"
    if _waited_to_be_sent(facts) is not None:
        return Hint(f"{begin}; more agents would only ask more of a server that does not keep up with these.", "load")
    return Hint(f"{begin}: too few agents for this load; that wait is not the server's.", "load")


def _refused(facts: _Facts) -> Hint | None:
    n, flood = facts.n("reply.refused") - facts.n("reply.refused.unreachable"), facts.n("reply.refused.flood")
    if n <= 0 or n <= facts.n("throttled") - facts.n("cable.throttled"):
        return None
    if flood:
        return Hint(
            f"The server took {_replies(flood)} for a flood: too many messages a minute in one conversation. Use more customers.", "replies"
        )
    return Hint(f"The server refused {_replies(n)}, or never answered: see the reasons.", "replies")


def _cables(facts: _Facts) -> Hint | None:
    dropped, unconfirmed = facts.n("cable.dropped") - facts.n("cable.cut"), facts.n("cable.unconfirmed")
    if dropped > 0:
        return Hint(f"{many(dropped, 'cable', 'cables')} ended without our closing them: see when, and what else happened then.", "load")
    if unconfirmed:
        return Hint(f"{many(unconfirmed, 'subscription was', 'subscriptions were')} not confirmed in time.", "load")
    return None


def _unseen(facts: _Facts) -> Hint | None:
    n = facts.n("question.unseen")
    if not n:
        return None
    return Hint(
        f"{many(n, 'question', 'questions')} did not show on any agent's cable in time: agents would have answered them late.", "where"
    )


def _undetermined(facts: _Facts) -> Hint | None:
    theirs = sum(row["undetermined"] for row in facts.summary["workers"] if row["state"] == "lost")
    n = facts.summary["replies"]["undetermined"] - facts.n("reply.unread") - theirs  # no drain would have told the end of either
    if n <= 0 or facts.run.end is None or facts.run.end.at_once:
        return None
    return Hint(f"The run ended before the end of {_replies(n)} was known: allow a longer --drain.", "ends")


def _unread(facts: _Facts) -> Hint | None:
    n = facts.n("reply.unread")
    if n <= 0 or facts.run.end is None:
        return None
    stay, their = ("stays", "its POST") if n == 1 else ("stay", "their POSTs")
    return Hint(
        f"{_replies(n)} {stay} undetermined: {their} got no answer, and the agent's message list could not be read either.", "errors"
    )


def _late(facts: _Facts) -> Hint | None:
    n = facts.n("reply.late")
    return Hint(f"{_replies(n)} came after the deadline: see when that began.", "time") if n else None


def _failed_requests(facts: _Facts) -> Hint | None:
    failed = {name: n for name, n in facts.run.totals.counters.items() if name.startswith("http.") and name.endswith(".failed") and n}
    if not failed or facts.has_gone:
        return None
    name = max(failed, key=failed.__getitem__)
    return Hint(f"{_requests(failed[name])} of {name.removeprefix('http.').removesuffix('.failed')} failed.", "errors")


def _known_defect(facts: _Facts) -> Hint | None:
    met = [row for row in facts.summary["errors"] if row["kind"] == KNOWN_DEFECT]
    if not met:
        return None
    n = sum(row["count"] for row in met)
    return Hint(f"{_requests(n)} met {met[0]['example']}. It says nothing of the load, and counts as no failure.", "errors")


def _replies(n: int) -> str:
    return many(n, "reply", "replies")


def _arrivals(n: int) -> str:
    return many(n, "arrival", "arrivals")


def _requests(n: int) -> str:
    return many(n, "request", "requests")


def _ms(value_ms: float) -> str:
    return units.seconds_text(value_ms / 1000)


_RULES: tuple[Callable[[_Facts], Hint | None], ...] = (
    _crashed,
    _gone,
    _hmac,
    _nothing_attempted,
    _misrouted,
    _throttled,
    _shortage,
    _generator,
    _workers,
    _late_generator,
    _deaf,
    _away,
    _lost,
    _recovered,
    _missing_copies,
    _cap,
    _no_idle_user,
    _waited_to_be_sent,
    _stage,
    _jobs_behind,
    _slow_posts,
    _few_agents,
    _refused,
    _cables,
    _unseen,
    _undetermined,
    _unread,
    _late,
    _failed_requests,
    _known_defect,
)
