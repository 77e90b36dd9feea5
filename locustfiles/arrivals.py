"""The open model: customers come whether or not those before have left, ask three times, and go. Run it with --arrivals 2/s."""

from locust import events, task

from loadkit import lognormal, uniform
from loadkit.swarm import Agent, ContactUser, install


class Visitor(ContactUser):
    wait_time = uniform("1s", "4s")

    @task
    def visit(self):
        self.open_conversation()
        for _ in range(3):
            self.say()
            self.await_reply(within="60s")
            self.wait()
        self.start_over()


class Support(Agent):
    thinks = lognormal(median="2s", p95="8s")


install(
    events,
    agents=Support,
    thresholds=[
        "reply.response p(99) < 2s",
        "reply.lost rate < 0.1%",
        "reply.refused rate < 1%",
        "reply.misrouted count == 0",
        "schedule.dropped rate < 5%",
    ],
)
