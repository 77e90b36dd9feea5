"""A brisk conversation for a short look: customers and agents who hardly think. The demo's scenario."""

from locust import events, task

from loadkit import lognormal, uniform
from loadkit.swarm import Agent, ContactUser, install


class Chatter(ContactUser):
    wait_time = uniform("1s", "3s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="30s")


class Brisk(Agent):
    thinks = lognormal(median="0.4s", p95="1s")


install(
    events,
    agents=Brisk,
    thresholds=["reply.response p(99) < 2s", "reply.lost rate < 0.1%", "reply.refused rate < 1%", "reply.misrouted count == 0"],
)
