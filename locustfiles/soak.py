"""A long plateau with churn: customers ask now and then, leave after a while, and somebody else comes in their place."""

from locust import events, task

from loadkit import exponential, lognormal
from loadkit.swarm import Agent, ContactUser, install

STAYS = exponential("5m")  # one in five customers is replaced every minute


class Regular(ContactUser):
    wait_time = lognormal(median="10s", p95="60s")

    def on_start(self):
        self.open_conversation()
        self.stays = STAYS.draw(self.random)

    @task
    def ask(self):
        if self.age > self.stays:
            self.start_over()
            self.on_start()
        self.say()
        self.await_reply(within="60s")


class Support(Agent):
    thinks = lognormal(median="2s", p95="8s")


install(
    events,
    agents=Support,
    thresholds=["reply.response p(99) < 2s", "reply.lost rate < 0.1%", "reply.refused rate < 1%", "reply.misrouted count == 0"],
)
