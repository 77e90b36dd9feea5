"""Customers and agents who never think, several questions at once: as many replies as possible in a short time."""

from locust import events, task

from loadkit import constant
from loadkit.swarm import Agent, ContactUser, install


class Rapid(ContactUser):
    wait_time = constant("0s")

    def on_start(self):
        self.asked = 0
        self.open_conversation()

    @task
    def ask(self):
        self.asked += 1
        if self.asked % 20 == 0:
            self.open_conversation()
        self.say()
        self.say()
        self.await_reply(within="1s")


class Prompt(Agent):
    thinks = constant("0s")


install(events, agents=Prompt)
