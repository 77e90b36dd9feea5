"""Names, texts and photos of simulated people, from pools made at the start: same seed, same texts. Faker never runs under load.

The mix of texts: 60 % Latin, 12 % Cyrillic, 10 % Arabic, 10 % CJK, 8 % Latin with emoji; 20 to 500 characters, most of them short;
never a brace, because servers render what agents write as a template.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import dataclass

from faker import Faker

__all__ = ["MIX", "Personas", "Pools"]

MIX = {"latin": 0.60, "cyrillic": 0.12, "arabic": 0.10, "cjk": 0.10, "emoji": 0.08}
SHORTEST, LONGEST = 20, 500
_LOCALES = {"latin": ("en_US", "de_DE", "fr_FR", "es_ES"), "cyrillic": ("ru_RU",), "arabic": ("ar_AA",), "cjk": ("zh_CN", "ja_JP")}
_EMOJI = "😀😅🙏👍🎉😡📦🚚💳❓"


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools of one seed: texts with their scripts, names, and photos as PNG files."""

    texts: tuple[str, ...]
    scripts: tuple[str, ...]
    names: tuple[str, ...]
    photos: tuple[bytes, ...]

    @classmethod
    def make(cls, seed: int, *, texts: int = 400, names: int = 200, photos: int = 8) -> Pools:
        """Return the pools of a seed; takes a good tenth of a second."""
        rng = random.Random(seed)
        fakers = {locale: Faker(locale) for locales in _LOCALES.values() for locale in locales}
        for n, faker in enumerate(fakers.values()):
            faker.seed_instance(rng.getrandbits(32) + n)
        scripts = rng.choices(tuple(MIX), weights=tuple(MIX.values()), k=texts)
        made = tuple(_text(rng, fakers, script) for script in scripts)
        every = tuple(fakers.values())
        people = tuple(rng.choice(every).name() for _ in range(names))
        return cls(made, tuple(scripts), people, tuple(_photo(rng) for _ in range(photos)))


def _text(rng: random.Random, fakers: dict[str, Faker], script: str) -> str:
    """Return a text of a script whose length is log-normal about 80 characters, within the bounds."""
    length = min(LONGEST, max(SHORTEST, round(rng.lognormvariate(math.log(80), 0.7))))
    faker = fakers[rng.choice(_LOCALES.get(script, _LOCALES["latin"]))]
    words: list[str] = []
    size = 0
    while size < length:
        words.append(faker.sentence())
        size += len(words[-1]) + 1
    text = " ".join(words).replace("{", "(").replace("}", ")")
    end = " " + "".join(rng.choices(_EMOJI, k=2)) if script == "emoji" else ""
    return text[: length - len(end)].rstrip().ljust(SHORTEST - len(end), "…") + end


def _photo(rng: random.Random) -> bytes:
    """Return a square grey PNG of noise, which no compression shortens: log-normal about 60 kB, 5 kB to 500 kB."""
    size = min(500_000, max(5_000, round(rng.lognormvariate(math.log(60_000), 0.8))))
    side = math.isqrt(size)
    rows = b"".join(b"\0" + rng.randbytes(side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in chunks
    )


class Personas:
    """Draws from pools: what this process's people are called, what they say and what they show."""

    def __init__(self, pools: Pools, rng: random.Random) -> None:
        self._pools, self._rng = pools, rng

    def name(self) -> str:
        """Return a name."""
        return self._rng.choice(self._pools.names)

    def text(self) -> str:
        """Return a text of 20 to 500 characters."""
        return self._rng.choice(self._pools.texts)

    def photo(self) -> bytes:
        """Return a PNG file of 5 to 500 kB."""
        return self._rng.choice(self._pools.photos)
