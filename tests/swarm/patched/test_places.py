"""Who is who among workers: ranks, agents' seats, intervals that come once, and the words that travel."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import ErrorRow, Interval
from loadkit.swarm import messages
from loadkit.swarm.fleet import LEFT, LOST, PRESENT, Fleet
from loadkit.swarm.place import Place, new_run_id, seats

counts = st.integers(1, 60)


@given(counts, st.integers(1, 20), st.integers(0, 5))
def test_every_agent_sits_once_and_every_worker_has_one(count: int, workers: int, late: int) -> None:
    """With enough agents each number sits exactly once; with too few the surplus workers have one each; late joiners bring new ones."""
    at_start = [Place("run", rank, workers).agents(count) for rank in range(workers)]
    numbers = [number for sits in at_start for number in sits]
    assert min(map(len, at_start)) >= 1
    assert max(map(len, at_start)) - min(map(len, at_start)) <= 1
    assert sorted(numbers) == list(range(max(count, workers)))
    assert seats(count, workers) == len(numbers)
    joined = [number for rank in range(workers, workers + late) for number in Place("run", rank, workers).agents(count)]
    assert len(joined) == late
    assert len(set(joined + numbers)) == len(joined) + len(numbers)


def test_a_run_has_a_name_that_markers_can_carry() -> None:
    """Eight hex digits, and another run has others."""
    first, second = new_run_id(), new_run_id()
    assert first != second
    assert len(bytes.fromhex(first)) == 4


def test_ranks_are_never_given_twice() -> None:
    """Whoever leaves keeps its rank, whoever comes back has the one it had, and a newcomer gets the next."""
    fleet = Fleet(["host_aaaaaaaa", "host_bbbbbbbb"])
    first = fleet.join("host_aaaaaaaa")
    fleet.turn(first, LOST, "silent")
    assert fleet.join("host_cccccccc").rank == 2
    assert fleet.join("host_aaaaaaaa") is first
    fleet.turn(fleet.members[1], LEFT, "done")
    assert [fleet.join(one).rank for one in ("host_bbbbbbbb", "host_dddddddd")] == [1, 3]
    assert [member.rank for member in fleet.members] == [0, 1, 2, 3]
    assert fleet.ids == ["host_aaaaaaaa", "host_bbbbbbbb", "host_cccccccc", "host_dddddddd"]
    assert [member.rank for member in fleet.present] == [2, 3]
    assert fleet.find("nobody") is None
    assert first.name == "host_aaaaaa"


@given(st.lists(st.integers(0, 12), max_size=40))
def test_an_interval_is_taken_once_and_gaps_are_counted(numbers: list[int]) -> None:
    """Whatever comes again or behind its turn is not taken, so nothing counts twice; what was skipped is missed."""
    fleet = Fleet(["one_1"])
    member = fleet.members[0]
    taken = [seq for seq in numbers if fleet.takes(member, Interval(seq, 0, 0, 1))]
    assert taken == sorted(set(taken))
    assert all(seq in taken or any(other > seq for other in numbers[: i + 1]) for i, seq in enumerate(numbers))
    assert member.missed == (max(numbers) + 1 if numbers else 0) - len(taken)
    assert fleet.ends()[0].missed == member.missed


def test_a_silence_is_told_from_its_start_to_its_end() -> None:
    """One who came back has its silences on record, one who did not its state, its moment and the reason."""
    fleet = Fleet(["one_1", "two_2", "three_3", "four_4"])
    back, lost, left, _ = fleet.members
    for n in range(2):
        fleet.turn(back, LOST, f"silent {n}")
        fleet.turn(back, PRESENT, "back")
    fleet.turn(lost, LOST, "silent")
    fleet.turn(left, LEFT, "told to end")
    ends = fleet.ends()
    assert [end.state for end in ends] == ["finished", "lost", "left", "finished"]
    assert [len(end.silences) for end in ends] == [2, 0, 0, 0]
    assert all(text.startswith("from 2") and " to 2" in text for text in ends[0].silences)
    assert [end.reason for end in ends] == ["", "silent", "told to end", ""]
    assert [end.since != "" for end in ends] == [False, True, True, False]


def test_intervals_travel_whole_in_a_report() -> None:
    """What is packed into Locust's report is unpacked as it was, in its order; a report of somebody else's has none."""
    row = ErrorRow("timeout", "message.create", 2, 5, 9, "it took too long")
    histogram = Histogram()
    histogram.record_all([1, 5, 5, 4_000_000_000], "exact")
    full = Interval(3, 1, 10, 20, {"reply.lost": -1}, {"customers": 2.0}, {"reply.lag": histogram}, {"ping": (2, 40)}, [row])
    full.events, full.deliveries = [{"kind": "note", "text": "ü", "at_us": 5}], ["a,b"]
    report: dict[str, object] = {"stats": []}
    messages.pack(report, [full, Interval(4, 1, 20, 30)])
    assert messages.unpack(report) == [full, Interval(4, 1, 20, 30)]
    assert messages.unpack({"stats": []}) == []
    with pytest.raises(msgspec.ValidationError):
        messages.unpack({"loadkit": [msgspec.msgpack.encode({"seq": "one"})]})
