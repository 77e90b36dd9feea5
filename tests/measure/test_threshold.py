"""What a threshold line may say, and how it is judged."""

from __future__ import annotations

import contextlib
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.errors import ThresholdError
from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Interval, Totals
from loadkit.measure.threshold import Judged, parse, parse_all, parse_file


def histogram(*values_us: int) -> Histogram:
    made = Histogram()
    for value in values_us:
        made.record(value)
    return made


def totals(counters: dict[str, int] | None = None, **more: object) -> Totals:
    made = Totals()
    made.add(Interval(0, 0, 0, 10**6, counters or {}, **more))  # type: ignore[arg-type]
    return made


GOOD = [
    ("reply.response p(99) < 800ms", ("reply.response", "p(99)", "<", 800_000)),
    ("  reply.response   p( 99.9 )<=2s ", ("reply.response", "p(99.9)", "<=", 2_000_000)),
    ("reply.response p(50) < 4.35ms", ("reply.response", "p(50)", "<", 4350)),
    ("reply.lag mean < 10us", ("reply.lag", "mean", "<", 10)),
    ("reply.lag avg != 1m30s", ("reply.lag", "avg", "!=", 90_000_000)),
    ("reply.lag med > 1ms", ("reply.lag", "med", ">", 1000)),
    ("reply.lag min >= 1ms", ("reply.lag", "min", ">=", 1000)),
    ("reply.lag max < 1h", ("reply.lag", "max", "<", 3_600_000_000)),
    ("reply.response count > 100", ("reply.response", "count", ">", 100)),
    ("reply.lost rate < 0.1%", ("reply.lost", "rate", "<", 0.001)),
    ("reply.refused rate < 0.01", ("reply.refused", "rate", "<", 0.01)),
    ("reply.refused.throttled rate == 0", ("reply.refused.throttled", "rate", "==", 0)),
    ("reply.duplicate count == 0", ("reply.duplicate", "count", "==", 0)),
    ("http.message.create failed rate < 1%", ("http.message.create.failed", "rate", "<", 0.01)),
    ("http.message.create p(95) < 1s", ("http.message.create", "p(95)", "<", 1_000_000)),
    ("http.agent.message.create.failed count < 3", ("http.agent.message.create.failed", "count", "<", 3)),
    ("cable.dropped count == 0", ("cable.dropped", "count", "==", 0)),
    ("throttled rate < 5%", ("throttled", "rate", "<", 0.05)),
    ("cable.open last >= 50", ("cable.open", "last", ">=", 50)),
    ("generator.cpu max < 0.9", ("generator.cpu", "max", "<", 0.9)),
    ("frames.message.created count > 10", ("frames.message.created", "count", ">", 10)),
]


@pytest.mark.parametrize(("line", "parts"), GOOD)
def test_good_lines(line: str, parts: tuple[str, str, str, float]) -> None:
    """Metric, aggregate, operator, and the limit in the metric's own unit."""
    threshold = parse(line)
    assert (threshold.metric, threshold.aggregate, threshold.operator, threshold.limit) == parts
    assert threshold.text == " ".join(line.split())


BAD = [
    ("", "cannot be read"),
    ("reply.response", "cannot be read"),
    ("reply.response p(99)", "cannot be read"),
    ("reply.response p(99) <", "cannot be read"),
    ("reply.response p99 < 800ms", "cannot be read"),
    ("reply.response p(-1) < 800ms", "cannot be read"),
    ("reply.response p(99) =< 800ms", "cannot be read"),
    ("reply.response p(99) < 800ms and more", "is not a duration"),
    ("reply.respons p(99) < 800ms", "names no metric that loadkit knows: reply.respons"),
    ("reply.response failed rate < 1%", "names no metric"),
    ("http. p(99) < 1s", "names no metric"),
    ("reply.response p(101) < 800ms", "p(0..100)"),
    ("reply.response median < 800ms", "not median"),
    ("reply.response rate < 1%", "not rate"),
    ("reply.lost p(99) < 1", "count, rate"),
    ("cable.dropped rate < 1%", "has count, not rate"),
    ("reply.attempted rate < 1%", "has count, not rate"),
    ("cable.open p(99) < 5", "last, max"),
    ("cable.open count < 5", "not count"),
    ("reply.response p(99) < 800", "needs its unit, such as 800ms"),
    ("reply.response p(99) < 8e2", "needs its unit"),
    ("reply.response p(99) < -5ms", "is not a duration"),
    ("reply.response p(99) < 1%", "is not a duration"),
    ("reply.lost rate < 1s", "is not a share"),
    ("reply.lost rate < -1%", "is not a share"),
    ("reply.lost count < many", "is not a number"),
    ("reply.lost count < nan", "is not a number"),
    ("reply.lost count < inf", "is not a number"),
    ("cable.open last < 90%", "is not a number"),
]


@pytest.mark.parametrize(("line", "says"), BAD)
def test_bad_lines_are_refused_with_one_sentence(line: str, says: str) -> None:
    """Before anything is sent, and the sentence quotes the line."""
    with pytest.raises(ThresholdError) as caught:
        parse(line)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert repr(line.strip()) in str(caught.value)
    assert caught.value.exit_code == 2


@given(st.text(max_size=60))
def test_any_text_is_a_threshold_or_a_threshold_error(text: str) -> None:
    """A person's typing is never a traceback."""
    for line in (text, f"reply.response p(99) < {text}", f"reply.lost rate < {text}", f"{text} count < 5"):
        with contextlib.suppress(ThresholdError):
            parse(line)


RESPONSE = {"reply.response": histogram(*range(1, 1001))}


@pytest.mark.parametrize(
    ("aggregate", "value_ms"),
    [
        ("p(50)", 0.5),
        ("p(99)", 0.99),
        ("p(99.9)", 0.999),
        ("p(100)", 1.0),
        ("p(0)", 0.001),
        ("med", 0.5),
        ("mean", 0.5),
        ("avg", 0.5),
        ("min", 0.001),
        ("max", 1.0),
    ],
)
def test_every_aggregate_of_a_latency(aggregate: str, value_ms: float) -> None:
    """The judged value is in ms, and it is what was compared."""
    seen = totals(histograms=RESPONSE)
    assert parse(f"reply.response {aggregate} < 1h").judge(seen) == Judged(
        f"reply.response {aggregate} < 1h", True, pytest.approx(value_ms, abs=0.0006), "ms"
    )
    assert not parse(f"reply.response {aggregate} > 1h").judge(seen).passed


@pytest.mark.parametrize(
    ("sign", "compare"),
    [("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge), ("==", operator.eq), ("!=", operator.ne)],
)
@pytest.mark.parametrize("n", [6, 7, 8])
def test_operators_at_the_limit(sign: str, compare: object, n: int) -> None:
    """Seven of a thousand are 0.7 %, to the last bit; a count and a latency are as exact."""
    seen = totals({"reply.attempted": 1000, "reply.late": n, "reply.on_time": 1000 - n}, histograms={"reply.lag": histogram(n * 100)})
    expected = compare(n, 7)  # type: ignore[operator]
    assert parse(f"reply.late rate {sign} 0.7%").judge(seen).passed is expected
    assert parse(f"reply.late count {sign} 7").judge(seen).passed is expected
    assert parse(f"reply.lag p(50) {sign} 0.7ms").judge(seen).passed is expected


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("reply.response p(99) < 1s", "ms"),
        ("reply.response mean < 1s", "ms"),
        ("reply.lost rate < 1%", "share"),
        ("copies.missing rate < 1%", "share"),
        ("reply.refused rate < 1%", "share"),
        ("http.contact.create failed rate < 1%", "share"),
        ("cable.open last >= 0", ""),
        ("cable.open max >= 0", ""),
    ],
)
def test_no_data_fails(line: str, unit: str) -> None:
    """A threshold on a metric without data has not passed, and its value is None, not 0."""
    assert parse(line).judge(Totals()) == Judged(line, False, None, unit)


ENDED = {
    "reply.attempted": 2000,
    "reply.refused": 1000,
    "reply.refused.flood": 600,
    "reply.on_time": 990,
    "reply.late": 6,
    "reply.lost": 4,
    "reply.unasked": 2,
    "copies.owed": 8,
    "copies.seen": 6,
}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("reply.refused rate < 1", 0.5),
        ("reply.refused.flood rate < 1", 0.3),
        ("reply.accepted rate < 1", 0.5),
        ("reply.accepted count < 1", 1000),
        ("copies.missing count < 1", 2),
        ("copies.missing rate < 1", 0.25),
        ("reply.lost rate < 1", 0.004),
        ("reply.lost count < 1", 4),
        ("reply.on_time rate < 1", 0.99),
        ("reply.unasked rate < 1", 0.002),
        ("reply.duplicate rate < 1", 0.0),
        ("reply.duplicate count < 1", 0),
    ],
)
def test_what_rates_of_replies_are_of(line: str, value: float) -> None:
    """Ends and marks are shares of the accepted; refused and accepted are shares of the attempted."""
    assert parse(line).judge(totals(ENDED)).value == value


@pytest.mark.parametrize(("undetermined", "has_data"), [(1, True), (2, False)])
def test_lost_has_no_data_when_too_much_is_undetermined(undetermined: int, has_data: bool) -> None:
    """More than 0.1 % of the accepted replies: nobody can say how many were lost."""
    seen = totals({"reply.attempted": 1500, "reply.refused": 500, "reply.on_time": 1000 - undetermined, "reply.undetermined": undetermined})
    for line in ("reply.lost rate < 1%", "reply.lost count < 5"):
        judged = parse(line).judge(seen)
        assert (judged.passed, judged.value) == ((True, 0) if has_data else (False, None))
    assert parse("reply.late rate < 1%").judge(seen).passed


def test_what_rates_of_requests_are_of() -> None:
    """A route's requests are those with an answer and those without one, and those whose latency was out of range."""
    route = histogram(*[5] * 9, 10**13)
    counters = {"http.a.b.failed": 8, "http.a.b.unanswered": 6, "http.c.failed": 4, "http.c.unanswered": 4, "throttled": 5}
    seen = totals(counters, histograms={"http.a.b": route, "reply.lag": histogram(1, 2, 3)})
    assert parse("http.a.b failed rate < 1").judge(seen).value == 8 / 16
    assert parse("http.a.b.unanswered rate < 1").judge(seen).value == 6 / 16
    assert parse("http.c failed rate < 1").judge(seen).value == 1.0
    assert parse("throttled rate < 1").judge(seen).value == 5 / 20
    cables = totals(counters | {"cable.opened": 3, "cable.throttled": 2}, histograms={"http.a.b": route})
    assert parse("throttled rate < 1").judge(cables).value == 5 / 25


def test_gauges_and_frames() -> None:
    """The last and the highest value of a gauge; frames by their event."""
    seen = totals(gauges={"cable.open": 50.0}, frames={"ping": (7, 100)})
    seen.add(Interval(1, 0, 10**6, 2 * 10**6, gauges={"cable.open": 20.0}))
    values = [
        parse(line).judge(seen).value
        for line in ("cable.open last > 0", "cable.open max > 0", "frames.ping count > 0", "frames.pong count > 0")
    ]
    assert values == [20.0, 50.0, 7, 0]


def test_lines_of_several_sources_add_up() -> None:
    """Each once, in their order; empty lines and comments say nothing."""
    file = parse_file("# a comment\n\nreply.lost rate < 0.1%   # mine\n  cable.dropped count == 0\n")
    lines = ["reply.lost rate < 0.1%", *file, " ", "reply.lost  rate < 0.1%"]
    assert [threshold.text for threshold in parse_all(lines)] == ["reply.lost rate < 0.1%", "cable.dropped count == 0"]
