"""The shipped scenario's customers, answered by few agents who hardly think: what customers cost, apart from a crowd of agents."""

from locust import events, task

from loadkit import constant, lognormal
from loadkit.swarm import Agent, ContactUser, install


class Shopper(ContactUser):
    wait_time = lognormal(median="8s", p95="30s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="60s")


class Brisk(Agent):
    thinks = constant("100ms")


install(events, agents=Brisk)
