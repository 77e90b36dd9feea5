"""The catalogue: every metric there is, declared once, with what it means. Names outside it cannot be recorded or judged."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CATALOGUE",
    "COUNTERS",
    "ENDS",
    "GAUGES",
    "LATENCIES",
    "MARKS",
    "Metric",
    "find",
]

ENDS = ("refused", "on_time", "late", "recovered", "lost", "undetermined")
MARKS = ("duplicate", "out_of_order", "misrouted", "unasked")


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric: `kind` is latency, counter or gauge; `text` says from where to where, for a reader."""

    name: str
    kind: str
    text: str

    @property
    def adds_up(self) -> bool:
        """Whether a gauge of several workers is their sum; what is said of one process is the highest of them."""
        return not self.name.startswith(("generator.", "clock."))


def _metrics(kind: str, **texts: str) -> tuple[Metric, ...]:
    return tuple(Metric(name.replace("__", "."), kind, text) for name, text in texts.items())


LATENCIES = _metrics(
    "latency",
    reply__response="from when a reply was due to its frame on the customer's cable: what the customer feels",
    reply__delivery="from when a reply was sent to its frame on the customer's cable",
    reply__post="from when a reply was sent to the answer of its POST",
    reply__lag="from when a reply was due to when it was sent: a busy generator, or all the agent's connections in use",
    reply__before_save="from when a reply was sent to when the server saved it, by its own clock: inferred",
    reply__after_save="from when the server saved a reply to its frame on the customer's cable: inferred",
    reply__agent_copy="from when a reply was sent to its first frame on an agent's cable of the same process",
    echo__delivery="from when a customer's message was sent to its own frame on the customer's own cable",
    question__delivery="from when a customer's message was sent to its frame on an agent's cable",
    answer__wait="from when a customer's message was sent to the reply's frame: what a person waits, the agent's thinking included",
    desk__wait="from when the desk saw a question to when a free agent picked it up: long waits mean too few agents",
    cable__connect="from connecting to the welcome frame",
    cable__confirm="from subscribing to the confirmation",
    cable__reconnect="from noticing a drop to being confirmed again",
    cable__presence_echo="from update_presence to its presence.update frame",
    cable__ping_gap="from one ping to the next on the same socket",
    schedule__lag="from an arrival's intended start to its start",
    clock__uncertainty="by how much the moment of saving that was inferred for a reply may be off at most",
    generator__lag="how late the generator's own loop woke up",
    generator__read_lag="from the kernel's receive stamp to the moment loadkit read the bytes",
)

COUNTERS = _metrics(
    "counter",
    reply__attempted="replies whose first byte was about to leave, or that could not be sent",
    **{f"reply__{end}": f"replies that ended {end.replace('_', ' ')}" for end in ENDS},
    reply__accepted="replies the server took: attempted less refused",
    **{f"reply__{mark}": f"replies marked {mark.replace('_', ' ')}" for mark in MARKS},
    reply__stray="frames with a reply's marker that nobody here expects (any more)",
    reply__unread="undetermined replies whose POST got no answer, and the agent's message list that would tell could not be read",
    copies__owed="further copies of accepted replies that a verified contact's other sessions were owed",
    copies__seen="further copies of accepted replies that a verified contact's other sessions saw",
    copies__missing="further copies that were owed and not seen: owed less seen",
    cable__opened="cables that were opened, reconnections included",
    cable__dropped="cables that ended without our closing them",
    cable__cut="customers' cables that the scenario cut on purpose",
    cable__away="customers' cables that had been confirmed and were not at the end of the run",
    cable__throttled="cables' handshakes answered 429",
    cable__unconfirmed="subscriptions that were not confirmed in time",
    cable__deaf="cables that were open and pinged and yet heard nothing",
    customer__returned="customers of an earlier run who came back",
    question__asked="messages that customers sent and the server answered that it took; others may show on a cable too",
    question__unseen="questions that no agent's cable had shown by the deadline, or by the end of the drain",
    desk__taken="questions that came to the desk: replies attempted, and those below",
    desk__cancelled="replies that were due after the stop and therefore never attempted",
    desk__unpicked="questions that no agent was free to pick up before the stop, or before the customer left",
    desk__unsent="replies that were due and got no connection to be sent on before the drain's bound",
    desk__errands_left_out="questions about which an agent only replied, too far behind with what else was to be done",
    schedule__offered="arrivals that the schedule intended",
    schedule__started="arrivals that started, each with its lag",
    schedule__dropped="arrivals that could not start in time: offered less started",
    throttled="requests answered 429, cables' handshakes among them",
    iteration__finished="arrivals that came to the end of what they wanted and left",
    iteration__cut="arrivals that were still there when the run stopped, or that an exception ended",
    cable__wanted_seconds="cables that should have been open, summed over the seconds",
    cable__missing_seconds="cables that should have been open and were not, summed over the seconds",
    customers__wanted_seconds="customers that should have been there, summed over the seconds",
    customers__missing_seconds="customers that should have been there and were not, summed over the seconds",
    clock__contradicted="replies whose moment of saving contradicts those of others, so that their stages cannot be told",
    user__failed="customers' tasks that ended in an exception",
)

GAUGES = _metrics(
    "gauge",
    cable__open="customers' cables open and confirmed, those of further sessions included",
    cable__wanted="customers' cables that should be open",
    customers="customers present",
    customers__wanted="customers that Locust was asked for",
    desk__waiting="questions waiting for a free agent",
    clock__offset="milliseconds that the server's clock is ahead of the generator's, as far as its messages tell",
    generator__cpu="share of one core that the generator used",
    generator__open_files="open files of the generator",
)

_FAMILIES = (
    ("http.", ".failed", "counter", "requests of this route that failed, those without an answer included"),
    ("http.", ".unanswered", "counter", "requests of this route that got no answer and therefore have no latency"),
    ("http.", "", "latency", "from a request sent to its answer"),
    ("reply.refused.", "", "counter", "replies refused in this way"),
    ("schedule.dropped.", "", "counter", "arrivals dropped for this reason"),
    ("frames.", "", "counter", "frames of this event received on all cables"),
)

CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in (*LATENCIES, *COUNTERS, *GAUGES)}


def find(name: str) -> Metric | None:
    """Return the metric of a name, the families included; else None.

    Families: `http.<route>`, `http.<route>.failed`, `http.<route>.unanswered`, `reply.refused.<kind>`, `schedule.dropped.<reason>`
    and `frames.<event>`.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    for begin, end, kind, text in _FAMILIES:
        if name.startswith(begin) and name.endswith(end) and len(name) > len(begin) + len(end):
            return Metric(name, kind, text)
    return None
