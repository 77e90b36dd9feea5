"""Every second customer has the app on two devices; what else they do is the environment's to say: lose one of them, or leave."""

import os
from itertools import count

from locust import events, task

from loadkit import constant
from loadkit.swarm import Agent, ContactUser, install

NUMBERS = count()
THEN = os.environ.get("THEN", "stay")
ASKS = 6


class Person(ContactUser):
    wait_time = constant("0.3s")

    def on_start(self):
        self.tasks_done = 0
        self.open_conversation()
        if next(NUMBERS) % 2 == 0:
            assert self.open_session()
            assert self.customer.is_verified

    @task
    def ask(self):
        self.tasks_done += 1
        if self.tasks_done == ASKS and THEN == "lose":
            for session in self.customer.sessions:
                assert session.cable.cut()
            return  # the server notices while this one waits
        self.say()
        if self.tasks_done == ASKS and THEN == "leave":
            self.start_over()  # and the reply comes when its customer is gone
            self.on_start()
        else:
            self.await_reply(within="1s")  # one that is dropped holds nobody up for long


class Prompt(Agent):
    thinks = constant("0.1s")


install(events, agents=Prompt)
