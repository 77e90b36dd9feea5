"""Customers who stay and are answered, first some and then many; at either level the memory of their process is noted in a file."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from typing import Any

import gevent
from locust import events, task

from loadkit import constant, uniform
from loadkit.swarm import Agent, ContactUser, install
from tests.bench.memory import FEW, MANY, NOTED

STAY_S = 15


class Resident(ContactUser):
    wait_time = uniform("5s", "15s")

    def on_start(self) -> None:
        self.is_answered = False
        self.open_conversation()

    @task
    def ask(self) -> None:
        self.say()
        if self.await_reply(within="30s") and not self.is_answered:
            self.is_answered = True
            self.environment.answered += 1


class Prompt(Agent):
    thinks = constant("100ms")


def rss_kib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def note(environment: Any) -> None:
    """At either level, once all have had a reply, and some time for more of them, note the memory. The run was started with the few."""
    noted = []
    for customers in (FEW, MANY):
        if noted:
            environment.runner.start(customers, 100)
        while environment.answered < customers:
            gevent.sleep(0.2)
        gevent.sleep(STAY_S)
        noted.append(rss_kib())
    Path(environment.parsed_options.results).with_name(NOTED).write_text(json.dumps(noted))
    environment.runner.quit()


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    environment.answered = 0
    gevent.spawn(note, environment)


install(events, agents=Prompt)
