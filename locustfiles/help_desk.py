"""A day at a help desk: people ask, send photos, fill in forms, come back to look, and rate; agents read, type, note, call, resolve."""

from locust import events, task

from loadkit import lognormal
from loadkit.swarm import Agent, ContactUser, install


class Caller(ContactUser):
    wait_time = lognormal(median="8s", p95="30s")

    def on_start(self):
        self.open_conversation()
        if self.random.random() < 0.2:
            self.open_session()  # on a phone as well: only where an HMAC key proves that both are one person

    @task(60)
    def ask(self):
        self.start_typing()
        self.say()
        self.stop_typing()
        if self.await_reply(within="60s"):
            self.mark_seen()
            self.answer_form()

    @task(8)
    def send_a_photo(self):
        self.attach(text="This is what it looks like.")
        self.await_reply(within="60s")

    @task(20)
    def come_back(self):
        self.view_profile()
        self.list_conversations()
        self.view_conversation()
        self.history()

    @task(2)
    def correct_the_name(self):
        self.update_contact()

    @task(10)
    def leave_satisfied(self):
        self.resolve()
        self.wait()
        self.rate()
        self.open_conversation()


class HelpDesk(Agent):
    thinks = lognormal(median="4s", p95="15s")
    types, reads, lists = True, 0.6, 0.2
    notes, assigns, resolves = 0.1, 0.1, 0.15
    asks_form, asks_rating = 0.05, 0.05
    calls = 0.02  # OneHash Chat alone has them: 0 for Chatwoot


install(
    events,
    agents=HelpDesk,
    thresholds=["reply.response p(99) < 2s", "reply.lost rate < 0.1%", "reply.refused rate < 1%", "reply.misrouted count == 0"],
)
