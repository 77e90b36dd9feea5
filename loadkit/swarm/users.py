"""`ContactUser`: the virtual user. How one becomes a customer with a conversation, and leaves; what is done there is in `verbs.py`."""

from __future__ import annotations

import random
from typing import Any

import gevent
from gevent import GreenletExit
from geventhttpclient.client import HTTPClientPool
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from loadkit import clock
from loadkit.cable.frames import room_identifier
from loadkit.chat.models import Contact, Conversation
from loadkit.chat.request import Request
from loadkit.swarm.carrier import Carrier
from loadkit.swarm.customer import Customer, Session
from loadkit.swarm.identities import Identity
from loadkit.swarm.run import Run
from loadkit.swarm.verbs import Verbs
from loadkit.swarm.visits import receive

__all__ = ["ContactUser"]

STEP_S = 0.002
"""Seconds between the starts of two users in a process: some 400 a second, more than one core can open conversations for."""


class ContactUser(Verbs, FastHttpUser):
    """A customer of the target. A slow or failing target never ends one: what fails is counted, and opening is tried again."""

    abstract = True
    insecure = False

    def __init__(self, environment: Any) -> None:
        self.run_context = run = Run.of(environment)
        self.host = run.settings.target.host
        self.ssl_context_factory = run.ssl_context_factory
        if run.pool_size:
            self.client_pool = run.shared_pool(self._make_pool)
        keeps = run.settings.connections != "close"
        if not keeps:
            self.default_headers = {"Connection": "close"}
        super().__init__(environment)
        self.random: random.Random = run.new_random("customer")
        """This user's own generator, seeded by the run's seed: wait times draw from it too."""
        self._carry = Carrier(self.client, run.exchanges, keeps=keeps)
        self.customer = Customer(run.api(), self._carry)
        if run.gate is None:
            run.arrive(self.customer)

    def _make_pool(self, size: int) -> HTTPClientPool:
        return HTTPClientPool(
            concurrency=size,
            connection_timeout=self.connection_timeout,
            network_timeout=self.network_timeout,
            ssl_context_factory=self.ssl_context_factory,
        )

    def start(self, group: Any) -> Any:
        """Start, and let the hub turn before Locust makes the next user: it starts those of a second in one go, in a greenlet of its own.

        Two hundred at once hold everything else up for 30 ms, and no two hundred people click in the same instant.
        """
        greenlet = super().start(group)
        gevent.sleep(STEP_S)
        return greenlet

    def run(self) -> None:  # type: ignore[misc] # final there; on_stop is not called after an exception in on_start
        """Live as Locust's users do, or receive visitors; whatever ends it, the customer leaves."""
        gate = self.run_context.gate
        try:
            if gate is None:
                super().run()  # type: ignore[no-untyped-call]
                return
            self._state = LOCUST_STATE_RUNNING
            self._taskset_instance = DefaultTaskSet(self)
            receive(self, gate)
        except (GreenletExit, StopTest, StopUser):
            return
        finally:
            self.run_context.leave(self.customer)

    # The vocabulary.

    @property
    def age(self) -> float:
        """Seconds since this customer came."""
        return (clock.now_us() - self.customer.began_us) / 1e6

    def start_over(self) -> None:
        """Leave, and be a new customer from here on, with connections of its own."""
        run = self.run_context
        run.leave(self.customer)
        if not run.pool_size:
            self.client.client.clientpool.close()
        self.customer = Customer(run.api(), self._carry)
        run.arrive(self.customer)

    def open_conversation(self) -> None:
        """Become a contact, hold a cable and open a conversation; tries on, ever more slowly, until all three are there."""
        customer, failures = self.customer, 0
        while not self._open_next(customer):
            failures = self._pause(failures)

    def open_session(self) -> bool:
        """Open the app on a second device as well: from here on each reply is owed a copy there; return whether all of it went well.

        A further session of the same contact, both verified, with a cable of its own. False without an HMAC key: only where an identity
        is proven does a server know that two sessions are one person's.
        """
        self._leave_if_stopping()
        run, customer = self.run_context, self.customer
        if customer.contact is None or not customer.can_prove or not (customer.is_verified or customer.view()):
            return False
        made = self._carry(self._new_contact(customer), Contact)
        if (
            made is None
            or made.source_id == customer.key
            or self._carry(customer.api.show_contact(made.source_id, identifier=customer.identifier), Contact) is None
        ):
            return False
        session = Session(customer, made.source_id)
        session.cable = run.open_cable(room_identifier(made.pubsub_token), session)
        if session.cable is None:
            return False
        customer.sessions.append(session)
        return True

    def _open_next(self, customer: Customer) -> bool:
        """Take the steps that are missing, in order; return whether all went well."""
        self._leave_if_stopping()
        if customer.contact is None and not self._come_back(customer):
            customer.identifier = self.run_context.new_identifier()
            contact = self._carry(self._new_contact(customer), Contact)
            if contact is None:
                return False
            customer.become(contact)
        if customer.cable is None and not self._open_cable(customer):
            return False
        self._leave_if_stopping()
        if customer.conversation_id is None and customer.conversations:
            customer.conversation_id = customer.conversations[-1]
            return self.history() is not None
        conversation = self._carry(customer.api.create_conversation(customer.key), Conversation)
        if conversation is None:
            return False
        customer.enter(conversation)
        self._keep(customer)
        return True

    def _come_back(self, customer: Customer) -> bool:
        """Be a customer of an earlier run, if one comes back, as a reopened app is: view the contact, list the conversations."""
        run = self.run_context
        kept = run.identities.draw() if run.identities is not None else None
        if kept is None:
            return False
        customer.api, customer.identifier, customer.key = run.api(kept.inbox), kept.identifier, kept.source_id
        contact = customer.view()
        if contact is None:
            return False
        customer.become(contact)
        listed = customer.list_conversations()
        customer.conversations = list(kept.conversations) if listed is None else [conversation.id for conversation in listed]
        customer.uuid = listed[-1].uuid if listed else None
        run.recorder.count("customer.returned")
        return True

    def _keep(self, customer: Customer) -> None:
        """Keep who this is for later runs."""
        run, contact = self.run_context, customer.contact
        if run.identities is not None and contact is not None:
            host, inbox, identifier = run.settings.target.host, customer.api.inbox, customer.identifier
            run.identities.keep(Identity(host, inbox, contact.source_id, contact.pubsub_token, identifier, list(customer.conversations)))

    # How it is done.

    def _new_contact(self, customer: Customer) -> Request:
        return customer.api.create_contact(name=self.run_context.personas.name(), identifier=customer.identifier)

    def _open_cable(self, customer: Customer) -> bool:
        token = customer.contact.pubsub_token if customer.contact else ""
        customer.cable = self.run_context.open_cable(room_identifier(token), customer)
        return customer.cable is not None

    def _pause(self, failures: int) -> int:
        """Wait before the next try, twice as long as before, up to ten seconds."""
        gevent.sleep(min(10.0, 0.5 * 2.0**failures) * self.random.uniform(0.5, 1.0))
        return failures + 1
