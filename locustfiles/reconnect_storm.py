"""All cables break at one moment, as when a proxy restarts: who is back when, what was missed, and what the coming back costs."""

from locust import events, task

from loadkit import lognormal, uniform
from loadkit.swarm import Agent, ContactUser, install


class Shopper(ContactUser):
    wait_time = uniform("2s", "6s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="60s")


class Support(Agent):
    thinks = lognormal(median="1s", p95="3s")


install(
    events,
    agents=Support,
    cut_cables=["30s"],
    thresholds=["cable.reconnect p(95) < 10s", "cable.away count == 0", "reply.lost rate < 0.1%", "reply.misrouted count == 0"],
)
