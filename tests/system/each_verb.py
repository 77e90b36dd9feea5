"""One customer who uses every verb once and holds each to what it says; the replies are forms, and a survey in the end."""

from locust import events, task

from loadkit import constant
from loadkit.chat.request import Attachment
from loadkit.swarm import Agent, ContactUser, install


class Each(ContactUser):
    wait_time = constant("60s")

    @task
    def everything(self):
        self.before_there_is_anything()
        self.open_conversation()
        self.forms()
        self.looks()
        self.end()

    def before_there_is_anything(self):
        asked = [self.start_typing(), self.stop_typing(), self.mark_seen(), self.answer_form(), self.resolve(), self.rate()]
        assert not any([*asked, self.update_contact(), self.open_session()])
        assert [self.history(), self.view_conversation(), self.list_conversations(), self.view_profile()] == [None] * 4

    def forms(self):
        assert self.start_typing()
        assert self.say("Which one?")
        assert self.stop_typing()
        assert self.await_reply(within="20s")
        assert self.mark_seen()
        assert self.answer_form(1)
        assert not self.answer_form()
        question, form = self.history()
        assert question.content == "Which one?"
        assert form.content_attributes["submitted_values"] == [form.items[1]] == [{"title": "Blue", "value": "Blue"}]
        assert self.attach(Attachment("a.txt", b"abc", "text/plain"), text="See here.")
        assert self.await_reply(within="20s")
        assert self.answer_form()

    def looks(self):
        assert [message.message_type for message in self.view_conversation().messages] == [0, 1, 0, 1]
        assert [conversation.id for conversation in self.list_conversations()] == [self.customer.conversation_id]
        assert self.update_contact(name="Ada", custom_attributes={"plan": "gold"})
        assert self.view_profile().id == self.customer.contact.id
        proven = bool(self.run_context.settings.target.hmac_token)
        assert (self.list_conversations() is None) == proven  # the real server breaks once an identity is proven
        assert self.open_session() == proven

    def end(self):
        assert not self.rate()
        Asking.asks_form, Asking.asks_rating = 0, 1
        assert self.say()
        assert self.await_reply(within="20s")
        assert self.rate(4, "fine")
        assert not self.rate()
        assert self.resolve()
        assert self.view_conversation().status == "resolved"


class Asking(Agent):
    thinks = constant("0s")
    asks_form = 1
    choices = ("Red", "Blue")


install(events, agents=Asking)
