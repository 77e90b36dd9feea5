"""What the cables tell, turned into samples: the run's watcher of customers' and agents' cables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loadkit.chat.events import FORM, MESSAGE_CREATED, MessageCreated, created_message, whole_message
from loadkit.chat.marker import REPLY, Marker
from loadkit.errors import RemoteProtocolError
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.swarm.agent import Agent
from loadkit.swarm.customer import Customer, Session
from loadkit.swarm.desk import Desk
from loadkit.swarm.samples import Samples

if TYPE_CHECKING:
    from loadkit.cable.connection import Cable

__all__ = ["Watch"]


class Watch:
    """Implements `cable.connection.Watcher`. Nothing here blocks: it runs in the hub."""

    def __init__(
        self,
        run: str,
        worker: int,
        *,
        ledger: Ledger,
        recorder: Recorder,
        samples: Samples,
        on_back: Callable[[Customer], None],
        on_failure: Callable[[str, str], None],
        on_foreign: Callable[[Marker], None] | None = None,
    ) -> None:
        self._run, self._worker = run, worker
        self._ledger, self._recorder, self._samples = ledger, recorder, samples
        self._on_back, self._on_failure, self._on_foreign = on_back, on_failure, on_foreign
        self._expected, self._response = ledger.expected, samples.into("reply.response")
        self.desk: Desk | None = None
        self.closed = False

    def marked(self, cable: Cable, payload: bytes, event: str, received_us: int, quality: str) -> None:
        """Take a broadcast that holds one of this run's markers. Only `message.created` is a delivery: others repeat the marker."""
        if event != MESSAGE_CREATED or self.closed:
            return
        try:
            message = created_message(payload)
        except RemoteProtocolError as error:
            self._recorder.error(error.kind, "cable", str(error))
            return
        echo, tag = message.echo_id, cable.tag
        if not isinstance(echo, str):
            return
        if isinstance(tag, Customer):
            self._to_customer(tag, echo, message, received_us, quality)
            if message.content_type == FORM:
                self._note_form(tag, message, payload)
        elif isinstance(tag, Session):
            self._to_session(tag, echo, message, received_us, quality)
        elif self.desk is not None:
            self.desk.seen(echo, received_us, quality)
            self._ledger.shown_to_agent(echo, received_us, quality)

    def _to_customer(self, customer: Customer, echo: str, message: MessageCreated, received_us: int, quality: str) -> None:
        """Take a message's frame from a customer's cable: nearly always an expected reply, so nothing else is looked at before."""
        reply = self._expected(echo)
        if reply is not None:
            was_told = reply.received_us is not None
            self._ledger.seen(echo, customer.key, message.id, received_us, quality, message.updated_at)
            if not was_told and reply.received_us is not None:
                self._response(received_us - reply.due_us)
                customer.unanswered.discard(echo)
                customer.notify()
        elif not self._is_ours_besides(customer, echo, message, received_us, quality):
            return
        if message.id > customer.newest_message:
            customer.newest_message = message.id

    def _is_ours_besides(self, customer: Customer, echo: str, message: MessageCreated, received_us: int, quality: str) -> bool:
        """Take the frame of anything but an expected reply; return whether the message is one of this run."""
        sent_us = customer.unechoed.pop(echo, None)
        if sent_us is not None:
            self._ledger.newest(customer.key, message.conversation_id, message.id)
            self._recorder.latency("echo.delivery", received_us - sent_us, quality)
            self._samples.cable("echo.delivery", received_us - sent_us)
            self._ledger.stages.question(message.updated_at, sent_us, received_us)
            customer.notify()
            return True
        return self._is_of_this_run(customer.key, echo, message, received_us, quality)

    def _to_session(self, session: Session, echo: str, message: MessageCreated, received_us: int, quality: str) -> None:
        """Take a message's frame from a further session's cable: copies of replies are counted, and nothing else is.

        A reply that was attempted before the session was subscribed may be told there or not: no copy is owed, and none is misrouted.
        """
        reply = self._expected(echo)
        if reply is None:
            self._is_of_this_run(session.key, echo, message, received_us, quality)
        elif session.key in reply.also or reply.subscription != session.customer.key:
            self._ledger.seen(echo, session.key, message.id, received_us, quality)

    def _is_of_this_run(self, subscription: str, echo: str, message: MessageCreated, received_us: int, quality: str) -> bool:
        """Take the frame of what nobody here expects; return whether the message is one of this run."""
        marker = Marker.read(echo)
        if marker is None or marker.run != self._run:
            return False
        if marker.kind == REPLY and marker.worker != self._worker and self._on_foreign is not None:
            self._on_foreign(marker)
        elif marker.kind == REPLY:
            self._ledger.seen(echo, subscription, message.id, received_us, quality)
        return True

    def _note_form(self, customer: Customer, message: MessageCreated, payload: bytes) -> None:
        """Let a customer know of a form to fill in; one whose inside cannot be used is a delivery all the same."""
        if message.conversation_id not in customer.conversations:
            return
        try:
            customer.form = message.conversation_id, whole_message(payload)
        except RemoteProtocolError as error:
            self._recorder.error(error.kind, "cable", str(error))

    def connected(self, cable: Cable, took_us: int) -> None:
        """Count a cable that was welcomed."""
        self._recorder.count("cable.opened")
        self._recorder.latency("cable.connect", took_us)

    def confirmed(self, cable: Cable, took_us: int, gap_us: int | None) -> None:
        """Time a confirmation; after a gap the customer reads what was missed."""
        self._recorder.latency("cable.confirm", took_us)
        if isinstance(cable.tag, Customer):
            cable.tag.was_confirmed = True
        if gap_us is not None:
            self._recorder.latency("cable.reconnect", gap_us)
            if isinstance(cable.tag, Customer):
                self._on_back(cable.tag)

    def dropped(self, cable: Cable, reason: str) -> None:
        """Count a drop by its reason."""
        self._recorder.count("cable.dropped")
        self._recorder.error(f"dropped_{reason}", self.whose(cable))
        if isinstance(cable.tag, Customer):
            cable.tag.miss()

    def unconfirmed(self, cable: Cable) -> None:
        """Count a subscription that was never confirmed."""
        self._recorder.count("cable.unconfirmed")
        self._recorder.error("unconfirmed", self.whose(cable))

    def deaf(self, cable: Cable) -> None:
        """Count a cable that is open and pinged and hears nothing."""
        self._recorder.count("cable.deaf")
        self._recorder.error("deaf", self.whose(cable))

    def presence_echo(self, cable: Cable, took_us: int) -> None:
        """Time a presence echo."""
        self._recorder.latency("cable.presence_echo", took_us)

    def ping_gap(self, cable: Cable, gap_us: int) -> None:
        """Time the gap between two pings."""
        self._recorder.latency("cable.ping_gap", gap_us)

    def remote_error(self, cable: Cable, kind: str, text: str) -> None:
        """Count what the server did wrong, or what kept a cable from being opened (`connect_…`, `reconnect_…`)."""
        if kind.endswith("connect_http_429"):
            self._recorder.count("throttled")
            self._recorder.count("cable.throttled")
        self._recorder.error(kind, self.whose(cable), text)

    def failed(self, cable: Cable, error: BaseException) -> None:
        """Take an exception of ours: it voids the run."""
        self._on_failure("cable", f"{type(error).__name__}: {error}")

    @staticmethod
    def whose(cable: Cable) -> str:
        """Say where an error of a cable is told: at a customer's or at an agent's."""
        return "cable of an agent" if isinstance(cable.tag, Agent) else "cable of a customer"
