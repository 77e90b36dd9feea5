"""A customer asks, waits for the agent, thinks, and asks again."""

from locust import events, task

from loadkit import lognormal
from loadkit.swarm import Agent, ContactUser, install


class Shopper(ContactUser):
    wait_time = lognormal(median="8s", p95="30s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="60s")


class Support(Agent):
    thinks = lognormal(median="2s", p95="8s")


install(
    events,
    agents=Support,
    thresholds=["reply.response p(99) < 2s", "reply.lost rate < 0.1%", "reply.refused rate < 1%", "reply.misrouted count == 0"],
)
