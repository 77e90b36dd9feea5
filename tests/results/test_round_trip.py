"""What a writer wrote a reader reads: the same totals, the same summary."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadkit.errors import ResultsError
from loadkit.measure.histogram import HIGHEST_US
from loadkit.measure.metrics import ENDS, LATENCIES, MARKS
from loadkit.measure.recorder import Interval, Totals
from loadkit.measure.reply import DELIVERY_COLUMNS
from loadkit.results import format as fmt
from loadkit.results.reader import find_run, read
from loadkit.results.summary import summarize, summary_of
from loadkit.results.writer import Writer, make_folder
from tests.results.build import END, SECRETS, header, intervals, write


def state(totals: Totals) -> dict[str, Any]:
    names = ("counters", "gauges", "highest", "histograms", "frames", "errors", "start_us", "end_us")
    return {name: getattr(totals, name) for name in names}


@pytest.mark.parametrize("seed", range(4))
def test_totals_and_summary_come_back_exactly(tmp_path: Path, seed: int) -> None:
    """Every counter, gauge, bucket, frame, error and stamp, and therefore the summary, byte for byte."""
    head, totals = write(tmp_path, intervals(seed=seed))
    run = read(tmp_path)
    assert (run.header, run.end, run.undecided) == (head, END, 0)
    assert state(run.totals) == state(totals)
    assert json.dumps(summary_of(run)) == json.dumps(summarize(head, totals, END))
    assert json.loads((tmp_path / fmt.SUMMARY).read_bytes()) == summary_of(run)


def test_the_sum_of_the_bins_is_the_run(tmp_path: Path) -> None:
    """A chart shows what the totals count."""
    _, totals = write(tmp_path, intervals(30))
    run = read(tmp_path)
    summed: dict[str, int] = {}
    for bin_ in run.bins:
        assert bin_.start_s < bin_.end_s
        for name, n in bin_.totals.counters.items():
            summed[name] = summed.get(name, 0) + n
    assert summed == totals.counters


@pytest.mark.parametrize(("seconds", "each"), [(1, 1), (300, 1), (301, 1), (86_400, 60)])
def test_there_are_at_most_three_hundred_bins(tmp_path: Path, seconds: int, each: int) -> None:
    """A day and a minute fit on the same page."""
    head = header()
    start = head.started_us
    made = [
        Interval(n, 0, start + at * 10**6, start + (at + each) * 10**6, {"cable.opened": 1}) for n, at in enumerate(range(0, seconds, each))
    ]
    write(tmp_path, made, head=head)
    bins = read(tmp_path).bins
    assert 1 <= len(bins) <= 300
    assert sum(one.totals.counters["cable.opened"] for one in bins) == len(made)


def test_workers_are_read_side_by_side(tmp_path: Path) -> None:
    """Intervals of several workers interleave in one folder."""
    both = [interval for pair in zip(intervals(seed=1, worker=1), intervals(seed=2, worker=2), strict=True) for interval in pair]
    _, totals = write(tmp_path, both)
    run = read(tmp_path)
    assert state(run.totals) == state(totals)
    assert run.totals.gauges["customers"] == 2 * 21


def test_the_histogram_log_is_one_that_hdr_tools_read(tmp_path: Path) -> None:
    """The library's own reader finds the same counts under the same tags, at the right times."""
    head, totals = write(tmp_path, intervals())
    reader = HistogramLogReader(str(tmp_path / fmt.HLOG), HdrHistogram(1, HIGHEST_US, 3))
    found: dict[str, dict[int, int]] = {}
    try:
        while (one := reader.get_next_interval_histogram()) is not None:
            assert totals.start_us / 1000 - 2 <= one.get_start_time_stamp() <= totals.end_us / 1000 + 2
            counts = found.setdefault(one.get_tag(), {})
            for bucket in range(one.counts_len):
                if n := one.get_count_at_index(bucket):
                    counts[bucket] = counts.get(bucket, 0) + n
    finally:
        reader.close()
    assert found == {name: histogram.counts for name, histogram in totals.histograms.items() if histogram.counts}
    assert reader.get_start_time_sec() == pytest.approx(head.started_us / 1e6, abs=0.001)


def test_hdr_tools_see_an_interval_that_began_before_the_run(tmp_path: Path) -> None:
    """A worker whose clock is behind the master's is not left out of the log."""
    made = intervals(1)
    write(tmp_path, made, head=header(started_us=made[0].start_us + 3_000_000))
    reader = HistogramLogReader(str(tmp_path / fmt.HLOG), HdrHistogram(1, HIGHEST_US, 3))
    try:
        assert reader.get_next_interval_histogram() is not None
    finally:
        reader.close()


def test_there_is_one_line_an_attempted_reply(tmp_path: Path) -> None:
    """Each with the columns of the contract, one end, and known marks; the ends add up to the summary's."""
    _, totals = write(tmp_path, intervals())
    lines = (tmp_path / fmt.DELIVERIES).read_text().splitlines()
    assert lines[0] == DELIVERY_COLUMNS
    assert (
        DELIVERY_COLUMNS
        == "marker,message_id,conversation_id,subscription,worker,agent,request_id,due,sent,answered,received,end,marks,quality"
    )
    rows = list(csv.DictReader(lines))
    assert len({row["marker"] for row in rows}) == len(rows) == totals.reply("attempted")
    for end in ENDS:
        assert sum(row["end"] == end for row in rows) == totals.reply(end)
    for mark in MARKS:
        assert sum(mark in row["marks"].split("+") for row in rows) == totals.reply(mark)
    assert {"on_time", "late", "lost", "recovered", "refused", "undetermined"} == {row["end"] for row in rows}


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    """Neither in the header nor in any other file of the folder."""
    write(tmp_path, intervals())
    for path in tmp_path.iterdir():
        content = path.read_text()
        assert not any(secret in content for secret in SECRETS), path.name


@pytest.mark.parametrize("schema", [fmt.SCHEMA + 1, 0, "1", None, True, 1.0])
def test_a_schema_that_is_not_ours_is_refused(tmp_path: Path, schema: object) -> None:
    """With the sentence that names it."""
    write(tmp_path, intervals(1))
    changed = json.loads((tmp_path / fmt.HEADER).read_bytes()) | {"schema": schema}
    (tmp_path / fmt.HEADER).write_text(json.dumps(changed))
    with pytest.raises(ResultsError, match=r"reads up to 1"):
        read(tmp_path)


def test_what_a_later_version_of_this_schema_adds_is_ignored(tmp_path: Path) -> None:
    """Extra keys in the header and the intervals do not hinder reading."""
    _, totals = write(tmp_path, intervals(3))
    head = json.loads((tmp_path / fmt.HEADER).read_bytes()) | {"extra": {"a": 1}}
    (tmp_path / fmt.HEADER).write_text(json.dumps(head))
    lines = [json.loads(line) | {"extra": [1]} for line in (tmp_path / fmt.INTERVALS).read_text().splitlines()]
    (tmp_path / fmt.INTERVALS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert state(read(tmp_path).totals) == state(totals)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (fmt.HEADER, b""),
        (fmt.HEADER, b"[]"),
        (fmt.HEADER, b'{"schema": 1}'),
        (fmt.HEADER, b"\xff\xfe"),
        (fmt.HEADER, b"[" * 100_000),
        (fmt.INTERVALS, b"nonsense\n"),
        (fmt.INTERVALS, b'{"seq": "x"}\n'),
        (fmt.INTERVALS, b'{"errors": [{"kind": 5}]}\n'),
        (fmt.INTERVALS, b"\x00\xff\n"),
        (fmt.INTERVALS, b'{"hlog": 1000}\n'),
        (fmt.INTERVALS, b'{"latencies": {"reply.lag": {"count": 3, "sum_us": 5}}}\n'),
        (fmt.HLOG, b""),
        (fmt.HLOG, b"Tag=reply.lag,0,1,1,HISTFAAA\n" * 200),
    ],
)
def test_a_damaged_folder_is_a_results_error(tmp_path: Path, name: str, content: bytes) -> None:
    """One sentence, and never totals that do not add up."""
    write(tmp_path, intervals(3))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_histograms_that_do_not_belong_to_the_intervals_are_noticed(tmp_path: Path) -> None:
    """A line missing in the middle of the log would shift all that follow."""
    write(tmp_path, intervals(5))
    lines = (tmp_path / fmt.HLOG).read_text().splitlines(keepends=True)
    (tmp_path / fmt.HLOG).write_text("".join(lines[:6] + lines[7:]))
    with pytest.raises(ResultsError, match="promise"):
        read(tmp_path)


def test_find_run(tmp_path: Path) -> None:
    """A folder, or any file in it; anything else is no run."""
    write(tmp_path, intervals(1))
    assert find_run(tmp_path) == find_run(tmp_path / fmt.SUMMARY) == tmp_path
    for wrong in (tmp_path / "missing", tmp_path.parent):
        with pytest.raises(ResultsError, match="no run folder"):
            find_run(wrong)


def test_run_folders_never_collide(tmp_path: Path) -> None:
    """A taken name gets a number; a parent that is a file is one sentence."""
    made = [make_folder(tmp_path / "reports", "run") for _ in range(3)]
    assert [folder.name for folder in made] == ["run", "run-2", "run-3"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="cannot make"):
        make_folder(tmp_path / "file", "run")


def test_events_of_one_kind_do_not_hide_another(tmp_path: Path) -> None:
    """Ten thousand refused replies in a row, and then one lost one: it is there."""
    writer = Writer(tmp_path, header())
    for seq in range(51):
        kind = "lost" if seq == 50 else "refused"
        writer.write(Interval(seq, 0, seq, seq + 1, events=[{"at_us": seq, "kind": kind}] * (1 if seq == 50 else 200)))
    writer.finish(END, {})
    kinds = [event["kind"] for event in read(tmp_path).events]
    assert (kinds.count("refused"), kinds.count("lost")) == (4000, 1)


CONTRACT = {
    "": "schema run verdict exit_code validity replies copies metrics counters frames thresholds errors",
    "run": "name scenario started seconds ended_by customers agents workers target",
    "validity": "state reasons",
    "replies": "attempted refused accepted on_time late recovered lost undetermined duplicate out_of_order misrouted unasked",
    "copies": "owed seen missing",
}
EXTRA = {
    "": {"gauges", "server_clock", "stages", "workers"},
    "run": {"label", "drain_seconds"},
    "validity": set(),
    "replies": set(),
    "copies": set(),
}
METRIC = {"unit", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "max", "exact", "bounded", "user_space"}


def test_the_summary_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    """Others script against these; what comes on top is listed here."""
    _, totals = write(tmp_path, intervals())
    summary = json.loads((tmp_path / fmt.SUMMARY).read_bytes())
    for name, keys in CONTRACT.items():
        assert set(summary[name] if name else summary) == set(keys.split()) | EXTRA[name]
    assert [set(row) for row in summary["thresholds"]] == [{"text", "passed", "value", "unit"}] * 2
    assert {frozenset(row) for row in summary["errors"]} == {frozenset(("kind", "where", "count", "first", "last", "example"))}
    assert {frozenset(row) for row in summary["metrics"].values()} == {frozenset(METRIC | {"over"})}
    assert set(summary["metrics"]) == {metric.name for metric in LATENCIES} | {"http.message.create"}
    assert summary["frames"] == {"message.created": {"count": 60, "bytes": 60_000}}
    assert summary["counters"]["cable.dropped"] == 24
    assert summary["counters"]["http.contact.create.failed"] == 12
    assert summary["counters"]["reply.refused.http_502"] > 0
    assert summary["run"]["customers"] == 21
    assert (summary["run"]["seconds"], summary["run"]["ended_by"], summary["run"]["target"]) == (12.5, "time", "http://127.0.0.1:3000")
    assert summary["replies"]["attempted"] == totals.reply("attempted")


def test_the_summary_adds_up(tmp_path: Path) -> None:
    """Attempted is accepted and refused; accepted is its five ends; a metric's stamps are its count."""
    write(tmp_path, intervals())
    summary = json.loads((tmp_path / fmt.SUMMARY).read_bytes())
    replies, response = summary["replies"], summary["metrics"]["reply.response"]
    assert replies["attempted"] == replies["accepted"] + replies["refused"]
    assert replies["accepted"] == sum(replies[end] for end in ENDS[1:])
    assert response["exact"] + response["bounded"] + response["user_space"] == response["count"] == replies["on_time"] + replies["late"]
    assert response["p50"] <= response["p90"] <= response["p95"] <= response["p99"] <= response["p99.9"] <= response["max"]
    assert summary["metrics"]["reply.lag"]["over"] == 12


def test_a_metric_without_data_is_null_and_never_zero() -> None:
    """An empty run is void, and every latency in it is unknown."""
    summary = summarize(header(), Totals(), END)
    for row in summary["metrics"].values():
        assert row["count"] == 0
        assert [row[name] for name in ("mean", "p50", "p90", "p95", "p99", "p99.9", "max")] == [None] * 7
    assert (summary["verdict"], summary["exit_code"], summary["validity"]["state"]) == ("void", 4, "void")
    assert [row["passed"] for row in summary["thresholds"]] == [False, False]


def test_other_thresholds_replace_the_runs_own(tmp_path: Path) -> None:
    """A finished run is judged again without being run again."""
    write(tmp_path, intervals())
    run = read(tmp_path)
    assert summary_of(run, thresholds=[])["thresholds"] == []
    again = summary_of(run, thresholds=["reply.response p(50) < 1us"])
    assert ([row["text"] for row in again["thresholds"]], again["exit_code"]) == (["reply.response p(50) < 1us"], 3)


def test_the_verdict_knows_a_fault(tmp_path: Path) -> None:
    """A fault that the run wrote down voids it, with its sentence."""
    head, totals = write(tmp_path, intervals())
    summary = summarize(head, totals, msgspec.structs.replace(END, faults={"listener": "a listener raised"}))
    assert (summary["exit_code"], summary["validity"]["reasons"][0]["text"]) == (4, "a listener raised")
