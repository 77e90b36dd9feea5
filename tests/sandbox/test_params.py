"""Parameters as Rails reads them, and JSON as it writes it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.sandbox.exchange import as_id
from loadkit.sandbox.params import BadBody, is_true, nested, parse_body, text
from loadkit.sandbox.words import encode, epoch, iso

TREES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.recursive(
        st.text(max_size=5),
        lambda inner: st.dictionaries(st.text("xyz", min_size=1, max_size=3), inner, min_size=1, max_size=3),
        max_leaves=6,
    )
    | st.lists(st.text(max_size=5), min_size=1, max_size=3),
    max_size=4,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def flat(tree: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in flat(value, f"{name}[{key}]" if name else key)]
    return [(name + "[]", value) for value in tree] if isinstance(tree, list) else [(name, tree)]


@given(TREES)
def test_forms_carry_trees(tree: dict[str, Any]) -> None:
    """Whatever tree is flattened into a form comes out of it again."""
    body = urlencode(flat(tree)).encode()
    assert parse_body("application/x-www-form-urlencoded; charset=UTF-8", body) == tree


def test_objects_in_lists_begin_anew_where_a_key_repeats() -> None:
    """`a[][k]` fills one object until it has that key."""
    pairs = [("a[][k]", "1"), ("a[][v]", "2"), ("a[][k]", "3")]
    assert nested(pairs) == {"a": [{"k": "1", "v": "2"}, {"k": "3"}]}


@pytest.mark.parametrize("pairs", [[("a", "1"), ("a[b]", "2")], [("a[]", "1"), ("a[b]", "2")], [("a" + "[b]" * 50, "1")]])
def test_names_that_contradict_are_a_bad_body(pairs: list[tuple[str, str]]) -> None:
    """A parameter cannot be of two kinds, nor endlessly deep."""
    with pytest.raises(BadBody):
        nested(pairs)


@given(JSON_VALUES)
def test_json_is_escaped_without_changing_what_it_means(value: Any) -> None:
    """Reading it back gives the value; the escaped characters never stand raw."""
    written = encode(value)
    assert json.loads(written) == value
    assert not any(raw in written.decode() for raw in "<>&\u2028\u2029")


@pytest.mark.parametrize(
    ("value", "stored"), [("x", "x"), (5, "5"), (1.5, "1.5"), (True, "t"), (False, "f"), ([], None), ({}, None), (None, None)]
)
def test_text_columns_take_scalars(value: Any, stored: str | None) -> None:
    """What is no scalar is dropped."""
    assert text({"k": value}, "k") == stored


@pytest.mark.parametrize(("value", "stored"), [("12", 12), (" 12abc", 12), ("abc", 0), ("", 0), ("9" * 50, 999_999_999_999_999_999)])
def test_ids_are_read_from_the_front(value: str, stored: int) -> None:
    """A text that begins with no number is 0."""
    assert as_id(value) == stored


def test_booleans_are_false_in_many_words() -> None:
    """Only the known words, zero and nothing are false."""
    assert [is_true(value) for value in (None, False, 0, "0", "f", "false", "off", "", True, 1, "no", "true")] == [False] * 8 + [True] * 4


def test_times_are_spelled_as_rails_does() -> None:
    """Milliseconds are cut, not rounded; never is null, or 0."""
    assert iso(1_757_422_793_412_999) == "2025-09-09T12:59:53.412Z"
    assert (iso(None), epoch(None), epoch(1_757_422_793_999_999)) == (None, 0, 1_757_422_793)
