"""A ledger against a truth file: what agrees, and every way in which it may not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadkit import clock, units
from loadkit.errors import ResultsError
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.report.calibration import run_lines
from loadkit.results.calibration import Bounds, calibrate
from loadkit.results.counts import compare
from loadkit.results.deliveries import Delivery, read_deliveries
from loadkit.results.truth import Told, Written, read_truth
from tests.results.build import S, header, write

RUN = "lk0badcafe-0"
BOUNDS = Bounds()


def made(folder: Path, replies: int = 40, error_us: int = 7) -> Path:
    """Write the run of a second's replies, each 5 ms under way, and beside it a truth whose frames left `error_us` before."""
    recorder = Recorder()
    ledger = Ledger(recorder, deadline_us=5 * S, lost_after_us=30 * S, log=True)
    now = clock.now_us()
    for n in range(replies):
        sent = now + n * S // replies
        reply = Reply(f"{RUN}-r{n}", conversation_id=n, subscription=f"s{n}", agent=1, worker=0, due_us=sent, sent_us=sent)
        ledger.attempt(reply)
        ledger.seen(reply.marker, f"s{n}", 100 + n, sent + 5000, "exact", units.iso(clock.to_unix_us(sent + 3000)))
        ledger.answered(reply, sent + 6000, status=200, message_id=100 + n)
    ledger.close(now + 2 * S)
    folder.mkdir()
    write(folder, [recorder.cut()], head=header(started_us=clock.to_unix_us(now), settings={"deadline": 5.0}))
    lines = [
        {"marker": row.marker, "message_id": row.message_id, "status": 200, "fault": None}
        | {"written": [{"to": row.subscription, "unix_us": (row.received_us or 0) - error_us}]}
        for row in read_deliveries(folder)
    ]
    tell(folder, lines)
    return folder


def tell(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]


def judged(folder: Path) -> dict[str, Any]:
    return calibrate(folder, folder / "truth.jsonl", bounds=BOUNDS)


def names(folder: Path) -> set[str]:
    return {reason["name"] for reason in judged(folder)["reasons"]}


def test_a_run_that_agrees_is_trustworthy(tmp_path: Path) -> None:
    """Forty replies, each seen 7 µs after it was written: exact, and no doubt."""
    found = judged(made(tmp_path / "run"))
    assert found["trustworthy"], found["reasons"]
    assert found["counts"]["compared"] == found["errors"]["exact"]["count"] == 40
    assert {found["errors"]["exact"][name] for name in ("p50", "p90", "p99", "p99.9", "max")} == {7}
    assert found["errors"]["bounded"]["p50"] is None
    assert found["clock_offset_us"] is None


@pytest.mark.parametrize("shift", [-50_000, 50_000])
def test_a_truth_that_is_shifted_is_found_out(shift: int, tmp_path: Path) -> None:
    """Fifty milliseconds either way are the clocks', and are named and measured."""
    folder = made(tmp_path / "run")
    lines = told(folder)
    for line in lines:
        line["written"][0]["unix_us"] += shift
    tell(folder, lines)
    assert names(folder) == {"clock_offset"}
    assert judged(folder)["clock_offset_us"] == 7 - shift


def test_errors_above_the_bounds_are_no_offset(tmp_path: Path) -> None:
    """A truth that is 300 µs away breaks both bounds, and may be the network."""
    assert names(made(tmp_path / "run", error_us=300)) == {"error.p50", "error.p99"}


def test_a_missing_a_doubled_and_a_foreign_reply_are_found(tmp_path: Path) -> None:
    """Each is counted once, under its own name, and named."""
    folder = made(tmp_path / "run")
    lines = told(folder)
    tell(folder, [*lines[1:], lines[5], lines[7] | {"marker": "somebody-else"}])
    found = judged(folder)
    assert found["counts"]["wrong"] == {"missing": 1, "foreign": 1, "twice": 1, "message_id": 0, "end": 0, "marks": 0}
    assert {reason["name"] for reason in found["reasons"]} == {"counts.missing", "counts.foreign", "counts.twice"}
    assert {example.split(":")[0].split(",")[0] for example in found["counts"]["examples"]} == {
        lines[0]["marker"],
        lines[5]["marker"],
        "somebody-else",
    }


def test_lines_of_other_runs_and_times_and_of_people_are_set_aside(tmp_path: Path) -> None:
    """A truth file may tell of many runs, also at one time, and of people; a reply with our marker is ours at any time."""
    folder = made(tmp_path / "run")
    lines = told(folder)
    old = {"written": [{"unix_us": lines[0]["written"][0]["unix_us"] - 3600 * S}]}
    beside = lines[7] | {"marker": "lk12345678-0-r1"}
    tell(folder, [*lines, beside, {"marker": "somebody-else"} | old, {"marker": None, "written": []}])
    assert judged(folder)["trustworthy"]
    assert judged(folder)["counts"]["set_aside"] == 3
    assert "  set aside: 3 lines of the truth, of other runs, other times or people" in run_lines(judged(folder))
    tell(folder, [*lines, {"marker": f"{RUN}-r999"} | old])
    assert names(folder) == {"counts.foreign"}


def test_two_keys_are_enough(tmp_path: Path) -> None:
    """Another server's truth needs a marker and a moment; one frame may stand without a list."""
    folder = made(tmp_path / "run")
    tell(folder, [{"marker": line["marker"], "written": {"unix_us": line["written"][0]["unix_us"]}} for line in told(folder)])
    assert judged(folder)["trustworthy"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """A file that is still being written is read up to where it is whole."""
    folder = made(tmp_path / "run")
    with (folder / "truth.jsonl").open("a") as file:
        file.write('{"marker": "lk0bad')
    assert judged(folder)["trustworthy"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "tells of no reply"),
        ("no json\n", "line 1"),
        ('{"marker": "x"}\n', "line 1"),
        ('{"marker": "x", "written": [{"unix_us": "noon"}]}\n', "line 1"),
        ('{"marker": "x", "written": []}\n', "none of this run's 40 replies"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_truth_is_told_in_a_sentence(text: str | None, sentence: str, tmp_path: Path) -> None:
    """The line is named where there is one."""
    folder = made(tmp_path / "run")
    (folder / "truth.jsonl").unlink()
    if text is not None:
        (folder / "truth.jsonl").write_text(text)
    with pytest.raises(ResultsError, match=sentence):
        judged(folder)


def test_a_run_without_deliveries_cannot_be_judged(tmp_path: Path) -> None:
    """The sentence says what to do."""
    folder = made(tmp_path / "run")
    (folder / "deliveries.csv").rename(folder / "elsewhere")
    with pytest.raises(ResultsError, match="--log-deliveries"):
        judged(folder)
    (folder / "deliveries.csv").write_text("marker,sent\n")
    with pytest.raises(ResultsError, match="lacks the columns"):
        judged(folder)
    columns, line = (folder / "elsewhere").read_text().splitlines()[:2]
    (folder / "deliveries.csv").write_text(f"{columns}\n{line}\n{line.replace(',0,', ',x,', 1).replace(line.split(',')[7], 'noon')}\n")
    with pytest.raises(ResultsError, match="line 3"):
        judged(folder)


def test_a_summary_that_says_otherwise_is_found(tmp_path: Path) -> None:
    """The counters and the lines are two accounts of the same replies."""
    folder = made(tmp_path / "run")
    path = folder / "deliveries.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert names(folder) == {"counts.foreign", "counts.summary"}


ROW = Delivery("m-1", 10, 1, "ann", 0, 0, 9000, 5000, "on_time", frozenset(), "exact")
LINE = Told(marker="m-1", written=[Written(4990, "ann")], message_id=10, status=200, fault=None, requested=Written(100))
UNSEEN = {"received_us": None, "quality": ""}


def line(**changes: Any) -> Told:
    return Told(**({name: getattr(LINE, name) for name in LINE.__struct_fields__} | changes))


@pytest.mark.parametrize(
    ("row", "truth", "wrong"),
    [
        (ROW, LINE, None),
        (replace(ROW, message_id=None), LINE, None),
        (replace(ROW, message_id=11), LINE, "message_id"),
        (replace(ROW, end="late"), LINE, "end"),
        (replace(ROW, end="late", received_us=2 * S), line(written=[Written(S - 5, "ann")]), None),
        (replace(ROW, end="lost", **UNSEEN), line(written=[], fault="drop"), None),
        (replace(ROW, end="recovered", **UNSEEN), line(written=[], fault="drop"), None),
        (replace(ROW, end="undetermined", **UNSEEN), line(written=[], fault="drop"), "end"),
        (replace(ROW, end="recovered", **UNSEEN), line(written=[], fault="disconnect"), None),
        (replace(ROW, end="lost", **UNSEEN), line(written=[], fault="disconnect"), "end"),
        (ROW, line(written=[], fault="drop"), "end"),
        (replace(ROW, end="refused", **UNSEEN), line(written=[], status=429, message_id=None), None),
        (replace(ROW, end="lost", **UNSEEN), line(written=[], status=429, message_id=None), "end"),
        (replace(ROW, end="refused", **UNSEEN), line(written=[], status=301, message_id=None), None),
        (replace(ROW, end="refused", **UNSEEN), line(written=[]), "end"),
        (ROW, line(written=[Written(4990, "ann"), Written(4991, "ann")], fault="duplicate"), "marks"),
        (replace(ROW, marks=frozenset({"duplicate"})), line(written=[Written(4990, "ann"), Written(4991, "ann")]), None),
        (replace(ROW, marks=frozenset({"duplicate"})), LINE, "marks"),
        (replace(ROW, marks=frozenset({"duplicate"})), line(written=[Written(4990, "ann"), *[Written(4991, "her phone")] * 2]), None),
        (replace(ROW, marks=frozenset({"duplicate"})), line(written=[Written(4990, "ann"), Written(4991, "her phone")]), "marks"),
        (replace(ROW, marks=frozenset({"out_of_order"})), LINE, "marks"),
        (replace(ROW, marks=frozenset({"out_of_order"})), line(fault="swap"), None),
        (ROW, line(fault="swap"), "marks"),
        (replace(ROW, marks=frozenset({"out_of_order"})), line(fault="delay"), None),
        (replace(ROW, end="lost", marks=frozenset({"misrouted"}), **UNSEEN), line(written=[Written(1, "bob")], fault="misroute"), None),
        (replace(ROW, end="lost", **UNSEEN), line(written=[Written(1, "bob")], fault="misroute"), "marks"),
        (replace(ROW, marks=frozenset({"unasked"})), line(status=502), None),
        (ROW, line(status=502), "marks"),
    ],
)
def test_each_end_and_mark_is_held_against_what_was_done(row: Delivery, truth: Told, wrong: str | None) -> None:
    """One wrong thing at a time is counted under its name, and nothing else is."""
    found = compare([row], [truth], deadline_us=S)
    assert {name for name, n in found.wrong.items() if n} == ({wrong} if wrong else set()), found.examples
    assert found.exact == (wrong is None)


def test_who_was_overtaken_is_known_from_the_ids() -> None:
    """A reply written after one with a higher id of its conversation is out of order, also where no fault is named."""
    later = replace(ROW, marker="m-2", message_id=11, received_us=4500)
    truth = [LINE, line(marker="m-2", message_id=11, written=[Written(4490, "ann")])]
    assert compare([ROW, later], truth, deadline_us=S).wrong["marks"] == 1
    assert compare([replace(ROW, marks=frozenset({"out_of_order"})), later], truth, deadline_us=S).exact


def test_a_refused_reply_that_the_server_never_saw_is_not_missing() -> None:
    """A throttle in front answers for it; anything else that the truth lacks is missing."""
    refused = replace(ROW, marker="m-2", end="refused", **UNSEEN)
    assert compare([ROW, refused], [LINE], deadline_us=S).refused_unseen == 1
    assert compare([ROW, refused], [LINE], deadline_us=S).exact
    assert compare([ROW, replace(refused, end="lost")], [LINE], deadline_us=S).wrong["missing"] == 1


def test_a_reply_that_the_ledger_has_twice_is_found() -> None:
    """Two lines of one marker are one too many."""
    assert compare([ROW, ROW], [LINE], deadline_us=S).wrong["twice"] == 1


def test_the_sandboxs_own_truth_reads(tmp_path: Path) -> None:
    """Every key that the sandbox writes is taken or ignored."""
    from loadkit.sandbox.truth import Truth

    truth = Truth(tmp_path / "t")
    truth.attempt(5, "request", "m-1").answered(200)
    truth.close()
    (read,) = read_truth(tmp_path / "t")
    assert (read.marker, read.status, read.copies, read.fault) == ("m-1", 200, [], None)


def saved(folder: Path, after_us: int) -> dict[str, Any]:
    """The judgement where the truth tells that each reply was saved so long after it was sent."""
    sent = {row.marker: row.sent_us or 0 for row in read_deliveries(folder)}
    tell(folder, [line | {"saved": {"unix_us": sent[line["marker"]] + after_us}} for line in told(folder)])
    return judged(folder)


def test_where_the_time_went_is_held_against_the_truth(tmp_path: Path) -> None:
    """Both stages at p50 and p99: they agree with a truth that is within what the run said to be uncertain."""
    found = saved(made(tmp_path / "run"), after_us=3000)
    assert [(row["name"], row["percentile"], row["count"]) for row in found["stages"]] == [
        (name, percentile, 40) for name in ("before_save", "after_save") for percentile in ("p50", "p99")
    ]
    assert all(row["agrees"] and row["told_ms"] == pytest.approx(row["true_ms"], abs=1.1) for row in found["stages"])
    assert found["trustworthy"]
    assert "before_save p50" in "\n".join(run_lines(found))


def test_a_stage_that_was_told_wrong_is_found_out(tmp_path: Path) -> None:
    """A server whose updated_at is no moment of saving: 3 ms were told and it took 300."""
    found = saved(made(tmp_path / "run"), after_us=300_000)
    assert not found["trustworthy"]
    assert "stages.before_save" in {reason["name"] for reason in found["reasons"]}


def test_a_truth_without_moments_of_saving_says_nothing_of_them(tmp_path: Path) -> None:
    """The key may be missing: nothing is compared, and nothing is held against the run."""
    found = judged(made(tmp_path / "run"))
    assert found["stages"] == []
    assert found["trustworthy"]
    assert "where the time went" not in "\n".join(run_lines(found))
