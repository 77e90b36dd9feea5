"""One customer after another lists the own conversations: before and after the identity is proven, and after somebody else proved it."""

import os

from locust import events, task

from loadkit import constant
from loadkit.chat.models import Contact
from loadkit.swarm import Agent, ContactUser, install


class Looker(ContactUser):
    wait_time = constant("60s")

    @task
    def look(self):
        self.open_conversation()
        assert len(self.list_conversations()) == 1
        if os.environ.get("BY") == "another":
            customer = self.customer
            assert self._carry(customer.api.show_contact(customer.key, identifier=customer.identifier), Contact)
        else:
            assert self.view_profile()
        assert [self.list_conversations() for _ in range(3)] == [None] * 3
        assert self.say()
        assert self.await_reply(within="20s")


class Prompt(Agent):
    thinks = constant("0s")


install(events, agents=Prompt)
