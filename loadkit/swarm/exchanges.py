"""What became of HTTP exchanges, counted the same way whoever carried them: customers' over Locust's client, agents' over one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loadkit.chat.answers import Answer
from loadkit.chat.request import Request
from loadkit.chat.routes import Route
from loadkit.errors import TransportError
from loadkit.measure.recorder import KNOWN_DEFECT, Recorder

if TYPE_CHECKING:
    from loadkit.swarm.samples import Samples

__all__ = ["Exchanges"]


class Exchanges:
    """Times and counts exchanges under their routes' names."""

    def __init__(self, recorder: Recorder, samples: Samples) -> None:
        self._recorder, self._samples = recorder, samples
        self._under_way: dict[object, tuple[str, int]] = {}
        self._working: set[str] = set()

    @contextmanager
    def under_way(self, route: str, sent_us: int) -> Iterator[None]:
        """Know of a request for as long as it is under way."""
        token = object()
        self._under_way[token] = route, sent_us
        try:
            yield
        finally:
            self._under_way.pop(token, None)

    def give_up(self, before_us: int) -> None:
        """Count the requests sent before a moment that still hang: a server that stands still at the end would not show otherwise."""
        for token, (route, sent_us) in list(self._under_way.items()):
            if sent_us < before_us:
                del self._under_way[token]
                self.unanswered(route, "no_answer_until_the_end", f"sent {(before_us - sent_us) / 1e6:.0f} s and more before the end")

    # Of a connection of ours: Locust's tables know of it by us alone.

    def taken(self, route: Route, answer: Answer, problem: str, example: str) -> None:
        """Account for an answer; `problem` is the kind of its refusal or of what is wrong with it, "" for nothing."""
        took_us = answer.answered_us - answer.sent_us
        self.answered(route.name, took_us)
        if problem:
            self.failed(route.name, problem, example)
        self._samples.http(route.method, route.name, took_us, len(answer.body), problem)

    def broken(self, route: Route, error: TransportError) -> None:
        """Account for an exchange that got no answer, or could not begin."""
        self.unanswered(route.name, error.kind, str(error))
        self._samples.http(route.method, route.name, None, 0, error.kind)

    def cut_off(self, route: Route) -> None:
        """Account for an exchange that was sent and that the end of the run has cut."""
        self.unanswered(route.name, "no_answer_until_the_end", "cut at the end of the run")

    # Whoever carried it.

    def answered(self, route: str, took_us: int) -> None:
        """Time an exchange that got an answer, whatever it says."""
        self._recorder.latency(f"http.{route}", took_us)

    def failed(self, route: str, kind: str, example: str) -> None:
        """Count an exchange whose answer is a refusal or cannot be used."""
        self._recorder.count(f"http.{route}.failed")
        if kind == "throttled":
            self._recorder.count("throttled")
        self._recorder.error(kind, route, example)

    def excused(self, request: Request, kind: str) -> bool:
        """Count an answer that a known defect of the server explains, and return whether it does: then it is no failure.

        `kind` is that of its refusal, "" for none; a route that has answered well once has its defect no longer.
        """
        defect, route = request.defect, request.route.name
        if defect is None:
            return False
        if not kind:
            self._working.add(route)
        if kind != defect.refusal or route in self._working:
            return False
        self._recorder.error(KNOWN_DEFECT, route, defect.text)
        return True

    def unanswered(self, route: str, kind: str, example: str) -> None:
        """Count an exchange that got no answer: it failed, and has no latency."""
        self._recorder.count(f"http.{route}.unanswered")
        self.failed(route, kind, example)
