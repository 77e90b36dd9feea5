"""The correlation stamp: on the wire and off again."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.chat.marker import QUESTION, REPLY, Marker, needle

RUNS = st.text("0123456789abcdef", min_size=8, max_size=8)
NUMBERS = st.integers(0, 10**12)
MARKERS = st.builds(Marker, RUNS, NUMBERS, st.sampled_from([QUESTION, REPLY]), NUMBERS)


@given(MARKERS)
def test_what_is_put_on_is_taken_off(marker: Marker) -> None:
    """Any marker comes back from its text, and its text begins with its run's needle."""
    assert Marker.read(str(marker)) == marker
    assert str(marker).encode().startswith(needle(marker.run))


@given(MARKERS)
def test_a_reply_bears_its_questions_number(marker: Marker) -> None:
    """The reply to a question differs from it in its kind alone."""
    assert (marker.reply.kind, marker.reply.number) == (REPLY, marker.number)
    assert (marker.reply.run, marker.reply.worker) == (marker.run, marker.worker)


@given(MARKERS, MARKERS)
def test_different_markers_have_different_texts(one: Marker, other: Marker) -> None:
    """No two markers share a text, so that one lookup by text is enough."""
    assert (str(one) == str(other)) == (one == other)


@given(MARKERS)
def test_neither_json_nor_a_template_touches_a_marker(marker: Marker) -> None:
    """Its signs are letters, digits and hyphens: JSON does not escape it, so a search for its bytes finds it."""
    assert re.fullmatch(r"[a-z0-9-]+", str(marker))
    assert str(marker).encode() in json.dumps({"echo_id": str(marker)}).encode()


@given(MARKERS, RUNS)
def test_a_needle_is_in_no_other_runs_marker(marker: Marker, run: str) -> None:
    """A frame of another run is not taken for ours."""
    assert (needle(run) in str(marker).encode()) == (run == marker.run)


@pytest.mark.parametrize(
    "text",
    [
        *(None, 7, 1.5, True, b"lk0123abcd-0-q1", ["lk0123abcd-0-q1"], {"lk0123abcd-0-q1": 1}),
        *("", "lk", "lk-c-1", "lk0123abcd", "lk0123abcd-0-q", "lk0123abcd--q1", "lk0123abcd-0-x1", "lk0123abc-0-q1", "lk0123ABCD-0-q1"),
        *("lk0123abcd-0-q1 ", " lk0123abcd-0-q1", "lk0123abcd-0-q1\n", "lk0123abcd-0-q1x", "LK0123abcd-0-q1", "lk0123abcd-0-q-1"),
    ],
)
def test_what_is_no_marker_is_none(text: object) -> None:
    """Whatever another program puts into an `echo_id`, of any type, is not ours and raises nothing."""
    assert Marker.read(text) is None


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers())))
def test_anything_can_be_read(value: object) -> None:
    """Any value that JSON can hold is a marker or None."""
    assert Marker.read(value) is None
