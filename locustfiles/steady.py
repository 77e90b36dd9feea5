"""Customers who, once all are there, ask at an even pace, and agents who do not think: the load of `loadkit calibrate`."""

from gevent import sleep
from gevent.event import Event
from locust import events, task

from loadkit import constant
from loadkit.swarm import Agent, ContactUser, install

everybody = Event()
events.spawning_complete.add_listener(lambda user_count: everybody.set())


@events.init_command_line_parser.add_listener
def add_options(parser):
    parser.add_argument("--every", type=float, default=4.0, help="seconds from one question of a customer to the next (default: 4)")


class Steady(ContactUser):
    def on_start(self):
        sleep(self.random.random())  # Locust starts a second's customers all at once
        self.open_conversation()
        everybody.wait()
        self.next_at = self.age + self.random.uniform(0, self.environment.parsed_options.every)
        self.wait()

    def wait_time(self):
        wait = max(0.0, self.next_at - self.age)
        self.next_at += self.environment.parsed_options.every
        return wait

    @task
    def ask(self):
        self.say()


class Prompt(Agent):
    thinks = constant("0s")


install(events, agents=Prompt, thresholds=["reply.misrouted count == 0"])  # calibrating loses replies on purpose
