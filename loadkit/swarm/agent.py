"""`Agent`: what a scenario says of the simulated agents: how long they think, and what else they do about a question."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from loadkit.chat import models
from loadkit.chat.agent import AgentClient
from loadkit.chat.events import FORM, SURVEY
from loadkit.workload.delay import Delay, lognormal

if TYPE_CHECKING:
    from loadkit.cable.connection import Cable

__all__ = ["Agent"]


class Agent:
    """An agent: subclass it in a scenario to say how long agents think and what they do besides.

    All but `thinks` and `choices` are shares of the questions, from 0 (never) to 1 or True (always).
    """

    thinks: ClassVar[Delay] = lognormal(median="2s", p95="8s")
    """From picking a question up to the moment at which the reply is due."""

    asks_form: ClassVar[float] = 0.0
    """The reply is a form from which the customer chooses."""
    asks_rating: ClassVar[float] = 0.0
    """The reply is a satisfaction survey."""
    choices: ClassVar[Sequence[str]] = ("Yes", "No", "Something else")
    """What a form lets choose from."""

    reads: ClassVar[float] = 0.0
    """Opens the conversation, with its newest messages, and marks it as seen."""
    types: ClassVar[float] = 0.0
    """Is seen typing until the reply is out."""
    assigns: ClassVar[float] = 0.0
    """Takes the conversation over."""
    notes: ClassVar[float] = 0.0
    """Leaves a private note after the reply."""
    calls: ClassVar[float] = 0.0
    """Rings by video after the reply and hangs up; Chatwoot has no such calls and answers 404."""
    resolves: ClassVar[float] = 0.0
    """Resolves the conversation after the reply."""
    lists: ClassVar[float] = 0.0
    """Goes back to the list of conversations in the end."""

    def __init__(self, number: int, profile: models.Profile, client: AgentClient, rng: random.Random, text: Callable[[], str]) -> None:
        self.number = number
        self.profile = profile
        self.client = client
        self.random = rng
        self.text = text
        self.free_us = 0
        self.cable: Cable | None = None

    def __lt__(self, other: Agent) -> bool:
        return (self.free_us, self.number) < (other.free_us, other.number)

    def thinking_us(self) -> int:
        """Draw how long this agent holds a question, in µs."""
        return int(type(self).thinks.draw(self.random) * 1e6)

    def happens(self, share: float) -> bool:
        """Draw whether something happens that does in this share of cases; what never or always does costs no draw."""
        return share > 0 and (share >= 1 or self.random.random() < share)

    def kind_of_reply(self) -> str:
        """Draw the content type of a reply."""
        if self.happens(self.asks_form):
            return FORM
        return SURVEY if self.happens(self.asks_rating) else "text"
