"""What simulated people are called and what they say."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest

from loadkit.workload.persona import MIX, Personas, Pools

SEEDS = (0, 1, 20261124)
MANY = Pools.make(7, texts=3000)


SCRIPTS = {"LATIN": "latin", "CYRILLIC": "cyrillic", "ARABIC": "arabic", "CJK": "cjk", "HIRAGANA": "cjk", "KATAKANA": "cjk"}


def script_of(text: str) -> str:
    """Return the script of a text by its characters alone: that of most of its letters, or that there are pictures in it."""
    if any(ord(sign) > 0x2700 and unicodedata.category(sign) == "So" for sign in text):
        return "emoji"
    names = (unicodedata.name(sign, "?").split()[0] for sign in text if sign.isalpha())
    return Counter(SCRIPTS.get(name, "another") for name in names).most_common(1)[0][0]


def test_the_same_seed_gives_the_same_pools() -> None:
    """Texts, scripts and names, in the same order, in any process: a run can be repeated. Another seed gives others."""
    show = "from loadkit.workload.persona import Pools; print(ascii(Pools.make(7, texts=60, names=20)))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", show], env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
        for salt in ("1", "2")
    }
    assert printed == {ascii(Pools.make(7, texts=60, names=20))}
    assert not set(Pools.make(7, texts=60).texts) & set(Pools.make(8, texts=60).texts)


@pytest.mark.parametrize("seed", SEEDS)
def test_pools_hold_as_many_as_were_asked_for(seed: int) -> None:
    """Whatever the seed: as many texts, each with its script, as many names, none empty, and hardly a text twice."""
    pools = Pools.make(seed, texts=123, names=45)
    assert (len(pools.texts), len(pools.scripts), len(pools.names)) == (123, 123, 45)
    assert all(name.strip() for name in pools.names)
    assert len(set(pools.texts)) == 123


@pytest.mark.parametrize("seed", range(12))
def test_every_text_is_within_its_bounds(seed: int) -> None:
    """From 20 to 500 characters, no space at an end, and never a sign that a template engine would touch."""
    pools = Pools.make(seed)
    assert [text for text in pools.texts if not 20 <= len(text) <= 500 or text != text.strip()] == []
    assert [text for text in (*pools.texts, *pools.names) if "{" in text or "}" in text] == []


def test_the_bounds_are_reached_and_most_texts_are_short() -> None:
    """Lengths are spread about 80 characters: half on either side of that, and both bounds occur."""
    lengths = [len(text) for text in MANY.texts]
    assert (min(lengths), max(lengths)) == (20, 500)
    below = sum(length < 80 for length in lengths)
    assert 0.45 < below / len(lengths) < 0.55


def test_a_text_is_of_the_script_that_it_is_filed_under() -> None:
    """By its characters, each of three thousand."""
    wrong = [(script, text) for script, text in zip(MANY.scripts, MANY.texts, strict=True) if script_of(text) != script]
    assert wrong == []


def test_the_scripts_are_mixed_as_stated() -> None:
    """Every share within two hundredths of the stated one, and the shares are all there is."""
    assert sum(MIX.values()) == pytest.approx(1)
    found = Counter(MANY.scripts)
    assert found.keys() == MIX.keys()
    assert {script for script, share in MIX.items() if abs(found[script] / len(MANY.scripts) - share) > 0.02} == set()


def test_people_draw_from_the_pools_as_their_generator_says() -> None:
    """Same generator, same sequence; nothing is said that is not in the pools."""
    pools = Pools.make(1, texts=30, names=10)
    one, other = (Personas(pools, random.Random("texts:1")) for _ in range(2))
    said = [(one.name(), one.text()) for _ in range(400)]
    assert said == [(other.name(), other.text()) for _ in range(400)]
    assert {name for name, _ in said} == set(pools.names)
    assert {text for _, text in said} == set(pools.texts)
