"""A hundred replies a second from forty customers, and agents who do not think: the load under which stamps are compared."""

from locust import constant_pacing, events, task

from loadkit import constant
from loadkit.swarm import Agent, ContactUser, install


class Steady(ContactUser):
    wait_time = constant_pacing(0.4)

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="5s")


class Prompt(Agent):
    thinks = constant("0s")


install(events, agents=Prompt)
