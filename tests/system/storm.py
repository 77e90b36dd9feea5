"""Brisk customers whose cables are all cut three seconds after the start."""

from locust import events, task

from loadkit import uniform
from loadkit.swarm import Agent, ContactUser, install


class Shopper(ContactUser):
    wait_time = uniform("0.1s", "0.3s")

    def on_start(self):
        self.open_conversation()

    @task
    def ask(self):
        self.say()
        self.await_reply(within="10s")


class Prompt(Agent):
    thinks = uniform("0.1s", "0.3s")


install(events, agents=Prompt, cut_cables=["3s"], thresholds=["cable.reconnect p(95) < 10s"])
