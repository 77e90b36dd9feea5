"""What a customer can do in a conversation: the verbs of a scenario. How one comes to have a conversation is in `users.py`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any

from gevent import GreenletExit

from loadkit import clock, units
from loadkit.chat.events import SURVEY
from loadkit.chat.marker import QUESTION
from loadkit.chat.models import Contact, ContactRow, Conversation, Message, Survey
from loadkit.chat.request import Attachment, Request
from loadkit.swarm.carrier import Carrier
from loadkit.swarm.customer import Customer
from loadkit.swarm.desk import Question
from loadkit.swarm.run import Run

__all__ = ["Verbs"]


class Verbs:
    """The verbs of a user; those that ask for something in a conversation do nothing, and fail, where there is none yet."""

    run_context: Run
    customer: Customer
    random: Random
    _carry: Carrier

    @abstractmethod
    def open_conversation(self) -> None:
        """Become a contact, hold a cable and open a conversation."""

    def say(self, text: str | None = None) -> bool:
        """Send a message, a drawn one by default; return whether the server took it. An agent will see it and reply."""
        content = self.run_context.personas.text() if text is None else text
        return self._ask(lambda customer, number, marker: customer.api.create_message(customer.key, number, content=content, marker=marker))

    def attach(self, *files: Attachment, text: str = "") -> bool:
        """Send files, a drawn photo by default, with a text; otherwise like `say`."""
        sent = files or (Attachment("photo.png", self.run_context.personas.photo(), "image/png"),)
        return self._ask(lambda customer, number, marker: customer.api.attach(customer.key, number, sent, content=text, marker=marker))

    def await_echo(self, within: str | float = "10s") -> bool:
        """Wait for the own messages' frames on the own cable; return whether they came in time."""
        came = self._await(lambda: not self.customer.unechoed, within)
        self.customer.unechoed.clear()
        return came

    def await_reply(self, within: str | float = "60s") -> bool:
        """Wait until everything asked so far is answered; return whether it was in time. Afterwards nothing old is waited for."""
        came = self._await(lambda: not self.customer.unanswered, within)
        self.customer.unanswered.clear()
        return came

    def history(self, before: int | None = None) -> list[Message] | None:
        """Read a page of the conversation, twenty messages, the newest or those below an id; None if that failed."""
        if self.customer.conversation_id is None:
            return None
        page = self.customer.page(self.customer.conversation_id, before=before)
        if page is not None:
            self.run_context.refetched(self.customer, [message.id for message in page])
        return page

    def start_typing(self) -> bool:
        """Be seen typing by the agents; return whether the server took it."""
        return self._here(lambda customer, number: customer.api.typing(customer.key, number, on=True), None) is not None

    def stop_typing(self) -> bool:
        """Be no longer seen typing."""
        return self._here(lambda customer, number: customer.api.typing(customer.key, number, on=False), None) is not None

    def mark_seen(self) -> bool:
        """Say that everything so far was seen; the server then tells of each message that it is read."""
        return self._here(lambda customer, number: customer.api.see(customer.key, number), None) is not None

    def answer_form(self, *choices: int) -> bool:
        """Fill in the newest form that came with a reply: its items of these numbers, a drawn one by default; False if there is none."""
        customer, form = self.customer, self.customer.form
        if form is None or not form[1].items:
            return False
        customer.form = None
        number, message = form
        chosen = [message.items[choice] for choice in choices] or [self.random.choice(message.items)]
        return self._carry(customer.api.submit(customer.key, number, message.id, chosen), Message) is not None

    def resolve(self) -> bool:
        """End the conversation; the next message opens it again."""
        shown = self._here(lambda customer, number: customer.api.resolve(customer.key, number), Conversation)
        self._looked(shown)
        return shown is not None

    def rate(self, rating: int | None = None, feedback: str | None = None) -> bool:
        """Answer the survey that the server or an agent has sent into the conversation; False if there is none yet, or it is answered.

        `rating` is 1 to 5; it and the words are drawn by default.
        """
        uuid = self.customer.uuid
        surveys = [message for message in self.history() or [] if message.content_type == SURVEY and not message.is_filled_in]
        if uuid is None or not surveys or self._carry(self.customer.api.show_survey(uuid), Survey) is None:
            return False
        stars = self.random.randint(1, 5) if rating is None else rating
        words = self.run_context.personas.text() if feedback is None else feedback
        return self._carry(self.customer.api.rate(uuid, stars, words), Survey) is not None

    def view_conversation(self) -> Conversation | None:
        """Read the conversation as a whole: with all its messages, which the server does not page."""
        shown: Conversation | None = self._here(lambda customer, number: customer.api.show_conversation(customer.key, number), Conversation)
        self._looked(shown)
        return shown

    def list_conversations(self) -> list[Conversation] | None:
        """Read all own conversations with all their messages; None if that failed.

        Once an identity is proven with HMAC the real server answers 500: that is told as its defect, and is no failed request.
        """
        if self.customer.contact is None:
            return None
        shown = self.customer.list_conversations()
        self._looked(*shown or ())
        return shown

    def view_profile(self) -> Contact | None:
        """Read what the server knows of oneself; where there is an HMAC key this proves the identity."""
        return None if self.customer.contact is None else self.customer.view()

    def update_contact(self, **changes: Any) -> bool:
        """Change `name`, `email`, `phone_number` or `custom_attributes`, a drawn name by default; return whether the server took it."""
        customer, changed = self.customer, changes or {"name": self.run_context.personas.name()}
        if customer.contact is None:
            return False
        request = customer.api.update_contact(customer.key, changed, identifier=customer.identifier)
        if self._carry(request, ContactRow) is None:
            return False
        customer.note_proof()
        return True

    # How it is done.

    def _ask(self, make: Callable[[Customer, int, str], Request]) -> bool:
        """Send a message that an agent is to answer; return whether the server took it."""
        self._leave_if_stopping()
        run, customer = self.run_context, self.customer
        if customer.conversation_id is None:
            self.open_conversation()
        conversation_id = customer.conversation_id or 0
        marker = run.new_marker(QUESTION)
        request = make(customer, conversation_id, str(marker))
        question = Question(marker, customer, conversation_id, clock.now_us())
        customer.unechoed[str(marker)] = question.sent_us
        customer.unanswered.add(str(marker.reply))
        run.desk.expect(question)
        outcome: dict[str, str] = {}
        message = self._carry(request, Message, outcome)
        run.desk.settle(question, taken=message is not None, refused=outcome.get("refusal", "") != "")
        if message is None and question.seen_us is None:
            customer.unanswered.discard(str(marker.reply))
            customer.unechoed.pop(str(marker), None)
        return message is not None

    def _here(self, make: Callable[[Customer, int], Request], shape: Any) -> Any:
        """Ask for something in the conversation that is talked in; None where there is none, or it failed."""
        number = self.customer.conversation_id
        return None if number is None else self._carry(make(self.customer, number), shape)

    def _looked(self, *shown: Conversation | None) -> None:
        """Note the messages that conversations have shown."""
        for conversation in shown:
            if conversation is not None:
                self.customer.recognize(conversation)
                self.run_context.refetched(self.customer, [message.id for message in conversation.messages])

    def _leave_if_stopping(self) -> None:
        if self.run_context.stopping:
            raise GreenletExit  # of a StopUser that leaves on_start Locust prints the traceback

    def _await(self, there: Any, within: str | float) -> bool:
        until = clock.now() + units.seconds(within)
        while not there():
            left = until - clock.now()
            if left <= 0 or not self.customer.wait(left):
                return bool(there())
        return True
