"""The ground: units, clock, target and errors."""

from __future__ import annotations

import inspect
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit import clock, errors, units
from loadkit.errors import LoadkitError, SettingsError, TargetError, UsageError
from loadkit.target import HMAC_VARIABLE, TOKENS_VARIABLE, Target, host_of

# Units.

DURATIONS = [
    ("90", 90.0),
    ("0", 0.0),
    ("1.5", 1.5),
    (2, 2.0),
    (0.25, 0.25),
    ("800ms", 0.8),
    ("1.5s", 1.5),
    (" 30 s ", 30.0),
    ("2m", 120.0),
    ("2min", 120.0),
    ("1h30m", 5400.0),
    ("1h 30m 5s", 5405.0),
    ("1d", 86400.0),
    ("10us", 1e-5),
    ("10µs", 1e-5),
    ("4.35ms", 0.00435),
]


@pytest.mark.parametrize(("text", "value"), DURATIONS)
def test_durations(text: str | float, value: float) -> None:
    """As people write them; a bare number is seconds."""
    assert units.seconds(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s",
        "1x",
        "-1",
        "-5s",
        "1h30",
        "5s3",
        "1,5s",
        "ms800",
        "1e400",
        "1e400s",
        "9" * 400,
        "9" * 400 + "s",
        "nan",
        "inf",
        None,
        True,
        -1,
        math.inf,
        math.nan,
        [],
        "2/s",
    ],
)
def test_what_is_no_duration(text: object) -> None:
    """One sentence, exit code 2."""
    with pytest.raises(SettingsError) as caught:
        units.seconds(text)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1%", 0.001), ("5 %", 0.05), ("100%", 1.0), ("150%", 1.5), ("0.001", 0.001), (0.25, 0.25), (1e-05, 1e-05), ("0", 0.0), (0, 0.0)],
)
def test_shares(text: str | float, value: float) -> None:
    """A percentage, or a fraction already."""
    assert units.share(text) == value


@given(st.integers(0, 100_000))
def test_a_share_is_the_quotient_to_the_last_bit(thousandths: int) -> None:
    """A rate of seven in a thousand is 0.7 %, neither above nor below it."""
    assert units.share(f"{thousandths // 10}.{thousandths % 10}%") == thousandths / 1000


@pytest.mark.parametrize("text", ["", "%", "-1%", "one", "1%%", "1ms", "nan", "inf", math.nan, math.inf, None, True, "1e999"])
def test_what_is_no_share(text: object) -> None:
    """One sentence."""
    with pytest.raises(SettingsError):
        units.share(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"), [("2/s", 2.0), ("30/m", 0.5), ("30 / min", 0.5), ("36/h", 0.01), ("3", 3.0), (0.5, 0.5), ("1e-2/s", 0.01)]
)
def test_rates(text: str | float, value: float) -> None:
    """So many a second, a minute or an hour; a bare number is per second."""
    assert units.per_second(text) == value


@pytest.mark.parametrize("text", ["", "/s", "2/", "2/d", "2/s/s", "-2/s", "two/s", "2 per s", "nan/s", "1e999/s"])
def test_what_is_no_rate(text: str) -> None:
    """One sentence."""
    with pytest.raises(SettingsError):
        units.per_second(text)


@given(st.text(max_size=50))
def test_any_text_is_converted_or_refused(text: str) -> None:
    """What comes out is finite and not negative."""
    for convert in (units.seconds, units.share, units.per_second):
        try:
            value = convert(text)
        except SettingsError:
            continue
        assert math.isfinite(value)
        assert value >= 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0008, "0.8 ms"),
        (0.0123, "12.3 ms"),
        (0.2241, "224 ms"),
        (0.99951, "1 s"),
        (8.05, "8.05 s"),
        (119, "119 s"),
        (120, "2 min"),
        (125, "2 min 5 s"),
        (5400, "1 h 30 min"),
    ],
)
def test_durations_for_a_reader(value: float | None, text: str) -> None:
    """Three digits are enough, and a latency that does not exist is a dash."""
    assert units.seconds_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 %"), (0.0012, "0.12 %"), (0.999, "99.9 %"), (1, "100 %"), (1e-6, "<0.01 %"), (0.9999999, ">99.99 %")],
)
def test_shares_for_a_reader(value: float | None, text: str) -> None:
    """A single failure is never rounded away."""
    assert units.share_text(value) == text


def test_numbers_for_a_reader() -> None:
    """Groups of thousands; milliseconds keep microseconds; nothing stays nothing."""
    assert units.count_text(1234567) == "1\u202f234\u202f567"
    assert (units.count_text(None), units.ms(None), units.ms(1234.5), units.ms(0)) == ("–", None, 1.234, 0.0)


# The clock.


def test_stamps_go_forward_and_convert_both_ways() -> None:
    """Unix time of a stamp lies between two looks at the wall clock, and the way back leads to the stamp, as well as looking allows."""
    before = clock.unix_us()
    stamp = clock.now_us()
    there = clock.to_unix_us(stamp)
    back = clock.from_unix_ns(there * 1000)
    after = clock.unix_us()
    slack = after - before + 2
    assert before - slack <= there <= after + slack
    assert abs(back - stamp) <= slack
    assert clock.now_us() >= stamp
    assert clock.now() * 1e6 >= stamp


def test_the_other_clocks() -> None:
    """A moment has its zone, and work costs CPU time."""
    assert clock.utc().tzinfo is not None
    assert clock.cpu_s() > 0


# Errors.


def test_every_error_knows_its_exit_code_and_is_drawn() -> None:
    """Usage errors end with 2; the drawing names every class."""
    classes = [thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, LoadkitError)]
    assert {one.__name__ for one in classes} == set(errors.__all__)
    for one in classes:
        assert one.exit_code == (2 if issubclass(one, UsageError) else 1)
        assert one.__name__ in (errors.__doc__ or "")
        assert one.__doc__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.RemoteProtocolError("not_json"), "not_json"),
        (errors.RemoteProtocolError("a", "b"), "b"),
        (errors.TransportError("cut"), "cut"),
        (errors.AnswerError(429, "throttled"), "429 throttled"),
    ],
)
def test_an_error_is_a_sentence(error: LoadkitError, text: str) -> None:
    """Its text is for a person, its kind for a counter."""
    assert str(error) == text
    assert error.kind  # type: ignore[attr-defined]


# The target.

GOOD = """
host = "http://127.0.0.1:3000"
account = 1
inbox = "inbox-1"
hmac_token = "hmac-secret"
agent_tokens = ["token-secret-1", "token-secret-2"]
"""
SECRETS = ("hmac-secret", "token-secret-1", "token-secret-2")


def written(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "target.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def test_a_target_file(tmp_path: Path) -> None:
    """Everything in it arrives."""
    target = Target.read(written(tmp_path, GOOD))
    assert target == Target("http://127.0.0.1:3000", ("inbox-1",), 1, SECRETS[1:], "hmac-secret", True)
    target.check()


@pytest.mark.parametrize(("line", "inboxes"), [('inbox = ["a", "b"]', ("a", "b")), ('inbox = "a"', ("a",)), ("", ())])
def test_one_inbox_or_several(tmp_path: Path, line: str, inboxes: tuple[str, ...]) -> None:
    """A text or a list."""
    assert Target.read(written(tmp_path, line)).inboxes == inboxes


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o601])
@pytest.mark.parametrize(
    ("content", "secret"),
    [(GOOD, True), ('hmac_token = "x"', True), ('agent_tokens = ["x"]', True), ('host = "http://a"', False), ("agent_tokens = []", False)],
)
def test_a_file_with_a_secret_is_the_owners_alone(tmp_path: Path, mode: int, content: str, secret: bool) -> None:
    """Any right of anybody else is refused, with the command that helps; a file without a secret may be read by all."""
    path = written(tmp_path, content, mode)
    if secret:
        with pytest.raises(TargetError, match="chmod 600"):
            Target.read(path)
    else:
        Target.read(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("host = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        ('hots = "http://a"\nb = 1', "does not know: b, hots"),
        ("inbox = 5", "inbox"),
        ('inbox = ["a", 5]', "inbox"),
        ('inbox = ""', "inbox"),
        ('inbox = [""]', "inbox"),
        ('agent_tokens = "one"', "agent_tokens"),
        ("agent_tokens = [5]", "agent_tokens"),
        ('agent_tokens = [""]', "agent_tokens"),
        ('account = "1"', "account"),
        ("account = true", "account"),
        ("account = 0", "account"),
        ("hmac_token = 5", "hmac_token"),
        ("host = 5", "not an address"),
        ('host = "localhost:3000"', "not an address"),
    ],
)
def test_a_bad_target_file_is_one_sentence(tmp_path: Path, content: str | bytes, says: str) -> None:
    """And ends with exit code 2."""
    with pytest.raises(TargetError) as caught:
        Target.read(written(tmp_path, content))
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_target_file(tmp_path: Path) -> None:
    """A folder is no file either."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(TargetError, match="cannot be read"):
            Target.read(path)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("https://chat.example.com/", "https://chat.example.com"),
        (" HTTP://Chat.Example.com ", "http://chat.example.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    """Scheme, name and port, without the slash."""
    assert host_of(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost:3000",
        "ftp://a",
        "http://",
        "http://a/path",
        "http://a?x=1",
        "http://a#x",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a:",
        "http://[::1",
        "http://a b",
        "http://a\nb",
        "http://a\\b",
        None,
        5,
    ],
)
def test_what_is_no_host(text: object) -> None:
    """An address of a host alone, or one sentence."""
    with pytest.raises(TargetError):
        host_of(text)


@pytest.mark.parametrize("text", ["http://me:sesame@a", "http://me@a", "http://:sesame@a", "http://a/@sesame"])
def test_a_password_in_a_host_is_refused_and_not_repeated(text: str) -> None:
    """The sentence lands in a log."""
    with pytest.raises(TargetError) as caught:
        host_of(text)
    assert "sesame" not in str(caught.value)


def test_secrets_stay_inside(tmp_path: Path) -> None:
    """Neither repr nor str nor the public part shows one, nor any sentence about what is missing."""
    target = Target.read(written(tmp_path, GOOD))
    with pytest.raises(TargetError) as caught:
        target.with_options(host="http://example.com").check()
    for shown in (repr(target), str(target), repr(target.public()), f"{[target]}", str(caught.value)):
        assert not any(secret in shown for secret in SECRETS)
    assert target.public() == {"host": "http://127.0.0.1:3000", "inboxes": ["inbox-1"], "account": 1, "agent_tokens": 2, "hmac": True}


def test_secrets_from_the_environment() -> None:
    """They fill what the file leaves open, and do not replace what it says."""
    environment = {TOKENS_VARIABLE: " a, b ,,", HMAC_VARIABLE: "h"}
    assert Target().with_environment(environment) == Target(agent_tokens=("a", "b"), hmac_token="h")
    both = Target(agent_tokens=("own",), hmac_token="mine")
    assert both.with_environment(environment) == both
    assert Target().with_environment({}) == Target()
    assert (TOKENS_VARIABLE, HMAC_VARIABLE) == ("LOADKIT_AGENT_TOKENS", "LOADKIT_HMAC_TOKEN")


def test_options_override_the_file() -> None:
    """Host, inbox and account; another host is not the one that the file vouches for."""
    target = Target("http://chat.example.com", ("a",), 1, ("t",), None, True)
    assert target.with_options() == target
    assert target.with_options(inbox=" b , c ", account=2) == Target("http://chat.example.com", ("b", "c"), 2, ("t",), None, True)
    assert target.with_options(host="http://chat.example.com/").owned
    assert not target.with_options(host="http://other.example.com").owned


@pytest.mark.parametrize(
    ("target", "says"),
    [(Target(), "no target"), (Target("http://127.0.0.1"), "no inbox"), (Target("http://127.0.0.1", ("a",)), "no agent's access token")],
)
def test_what_is_missing_is_said(target: Target, says: str) -> None:
    """In the order in which a person would give it."""
    with pytest.raises(TargetError, match=says):
        target.check()


@pytest.mark.parametrize(
    ("host", "mine", "fits"),
    [
        ("http://127.0.0.1:3000", "", True),
        ("http://127.8.8.8", "", True),
        ("http://localhost:3000", "", True),
        ("http://chat.localhost", "", True),
        ("http://[::1]:3000", "", True),
        ("http://0.0.0.0:3000", "", False),
        ("http://10.0.0.1", "", False),
        ("http://localhost.example.com", "", False),
        ("http://127.0.0.1.example.com", "", False),
        ("http://chat.example.com", "", False),
        ("http://chat.example.com", "chat.example.com", True),
        ("http://chat.example.com", "Chat.Example.com", True),
        ("http://chat.example.com:3000", "chat.example.com", True),
        ("http://chat.example.com:3000", "http://chat.example.com:3000/", True),
        ("http://chat.example.com:3000", "http://chat.example.com", False),
        ("http://chat.example.com", "example.com", False),
        ("http://chat.example.com", "*", False),
    ],
)
def test_load_goes_only_where_somebody_vouches(host: str, mine: str, fits: bool) -> None:
    """To this machine, to the host of a target file, or to one that a person repeats."""
    target = Target(host, ("a",), 1, ("t",))
    Target(host, ("a",), 1, ("t",), None, True).check()
    if fits:
        target.check(mine=mine)
    else:
        with pytest.raises(TargetError, match="--i-own-this-host"):
            target.check(mine=mine)


@pytest.mark.parametrize(("host", "url"), [("http://a:3000", "ws://a:3000"), ("https://a", "wss://a"), ("http://http", "ws://http")])
def test_the_cables_address(host: str, url: str) -> None:
    """Ws or wss as the host is http or https."""
    assert Target(host).cable_url == url


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_target_file(tmp_path: Path) -> None:
    """One sentence, as for a missing one."""
    with pytest.raises(TargetError, match="cannot be read"):
        Target.read(written(tmp_path, GOOD, 0o000))
