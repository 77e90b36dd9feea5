"""The ledger against the definitions, under any order of events that a run can bring."""

from __future__ import annotations

import csv
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loadkit.measure.ledger import Ledger
from loadkit.measure.metrics import ENDS, MARKS
from loadkit.measure.recorder import Recorder, Totals
from loadkit.measure.reply import DELIVERY_COLUMNS, Reply
from tests.measure.oracle import DEADLINE_US, LOST_AFTER_US, Account, ends_of

SUBSCRIPTIONS = {"ann": ("ann-2", "ann-3"), "bob": ()}
picks = st.integers(0, 1_000_000)


class LedgerModel(RuleBasedStateMachine):
    """One ledger and one account a reply; every rule tells both."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.ledger = Ledger(self.recorder, deadline_us=DEADLINE_US, lost_after_us=LOST_AFTER_US, log=True)
        self.totals = Totals()
        self.lines: list[str] = []
        self.missing: list[tuple[str, set[str]]] = []
        self.accounts: list[Account] = []
        self.highest: dict[tuple[str, int], int] = {}
        self.now_us = 1_000_000_000
        self.strays = 0
        self.sums: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def pick(self, n: int, fits: Any) -> Account | None:
        fitting = [account for account in self.accounts if fits(account)]
        return fitting[n % len(fitting)] if fitting else None

    def timed(self, name: str, value_us: int) -> None:
        self.counts[name] += 1
        self.sums[name] += value_us

    @rule(
        who=st.sampled_from(sorted(SUBSCRIPTIONS)),
        lag_us=st.sampled_from([0, 1, 700_000, 12_000_000]),
        leaves=st.sampled_from([True] * 9 + [False]),
    )
    def attempt(self, who: str, lag_us: int, leaves: bool) -> None:
        number = len(self.accounts)
        sent_us = self.now_us if leaves else None
        due_us = self.now_us - lag_us
        reply = Reply(
            f"m{number}",
            conversation_id=1 if who == "ann" else 2,
            subscription=who,
            agent=1,
            worker=0,
            due_us=due_us,
            sent_us=sent_us,
            asked_us=due_us - 2_000_000,
            also=SUBSCRIPTIONS[who],
        )
        account = Account(reply, 1000 + number, who, SUBSCRIPTIONS[who], due_us, sent_us)
        self.accounts.append(account)
        self.ledger.attempt(reply)
        if leaves:
            self.timed("reply.lag", lag_us)
        else:
            account.unreachable = True
            self.ledger.unsendable(reply)

    @rule(n=picks, answer=st.sampled_from(["ok", "ok", "ok", "throttled", "http_502", "unreadable", "silence"]))
    def post_ends(self, n: int, answer: str) -> None:
        account = self.pick(n, lambda a: a.posting)
        if account is None or account.sent_us is None:
            return
        if answer == "silence":
            account.without_answer = True
            self.ledger.unanswered(account.reply, self.now_us)
            return
        account.answered, account.answered_us = True, self.now_us
        self.timed("reply.post", self.now_us - account.sent_us)
        if answer == "ok":
            account.learn()
            self.ledger.answered(account.reply, self.now_us, status=200, message_id=account.message_id, request_id="r,1")
        elif answer == "unreadable":
            account.without_answer = True
            self.ledger.answered(account.reply, self.now_us, status=200)
        else:
            account.refused_as = answer
            if account.received_us is not None:
                account.marks.add("unasked")
            self.ledger.answered(account.reply, self.now_us, status=500, refusal=answer)

    @rule(n=picks, found=st.sampled_from(["present", "absent", "unreadable"]))
    def look_into_the_list(self, n: int, found: str) -> None:
        account = self.pick(n, lambda a: a.without_answer and a.end in (None, "refused", "undetermined"))
        if account is None:
            return
        if found == "present":
            account.listed = found
            account.learn()
            self.ledger.listed(account.reply, account.message_id)
        else:
            if not account.known_id:
                account.listed = found
            self.ledger.listed(account.reply, None, readable=found == "absent")

    @rule(n=picks, age_us=st.sampled_from([0, 0, 40, 3_000_000]), only_new=st.booleans())
    def frame(self, n: int, age_us: int, only_new: bool) -> None:
        account = self.pick(n, lambda a: a.sent_us is not None and not (only_new and a.received_us is not None))
        if account is None or account.sent_us is None:
            return
        received_us = max(account.sent_us, self.now_us - age_us)
        reply = self.ledger.seen(account.reply.marker, account.asked_by, account.message_id, received_us, "exact")
        if reply is None:
            self.check_retired(account)
            return
        assert reply is account.reply
        if account.received_us is not None:
            account.marks.add("duplicate")
            return
        account.received_us = received_us
        account.learn()
        self.note_order(account)
        if account.refused_as:
            account.marks.add("unasked")
        self.timed("reply.response", received_us - account.due_us)
        self.timed("reply.delivery", received_us - account.sent_us)
        self.timed("answer.wait", received_us - account.due_us + 2_000_000)

    def note_order(self, account: Account) -> None:
        key = (account.asked_by, account.reply.conversation_id)
        if account.message_id < self.highest.get(key, 0):
            account.marks.add("out_of_order")
        self.highest[key] = max(account.message_id, self.highest.get(key, 0))

    def check_retired(self, account: Account) -> None:
        """A reply may be forgotten only when it has come to rest for as long as a copy is awaited."""
        self.strays += 1
        assert account.end in ("on_time", "late", "refused")
        assert not account.posting
        last_us = account.received_us or account.answered_us or account.sent_us or account.due_us
        assert self.now_us >= last_us + LOST_AFTER_US

    @rule(n=picks, where=st.sampled_from(["ann", "bob", "ann-2", "ann-3", "nobody"]))
    def frame_elsewhere(self, n: int, where: str) -> None:
        account = self.pick(n, lambda a: a.sent_us is not None and a.asked_by != where)
        if account is None:
            return
        if self.ledger.seen(account.reply.marker, where, account.message_id, self.now_us, "bounded") is None:
            self.check_retired(account)
        elif where not in account.others:
            account.marks.add("misrouted")
        elif where in account.copies:
            account.marks.add("duplicate")
        else:
            account.copies.add(where)
            if not account.known_id:
                account.learn()  # who sees a copy knows that the server took it
                account.listed = "present"

    @rule(n=picks)
    def second_message_of_a_marker(self, n: int) -> None:
        account = self.pick(n, lambda a: a.received_us is not None)
        if account is not None:
            assert self.ledger.seen(account.reply.marker, account.asked_by, 10**6 + n, self.now_us, "exact") is None
            self.strays += 1

    @rule(marker=st.sampled_from(["foreign", "m99999"]))
    def stray(self, marker: str) -> None:
        assert self.ledger.seen(marker, "ann", 5, self.now_us, "exact") is None
        self.strays += 1

    @rule(
        who=st.sampled_from(sorted(SUBSCRIPTIONS)), since=st.sampled_from([None, 0, 10**12]), holds=st.lists(st.integers(0, 30), max_size=8)
    )
    def refetch(self, who: str, since: int | None, holds: list[int]) -> None:
        ids = {1000 + n for n in holds}
        for account in self.accounts:
            if account.asked_by == who and account.message_id in ids:
                account.shown = account.shown or account.known_id
                account.remembered = account.remembered or not account.known_id
        self.ledger.refetched(who, ids, open_since_us=since)

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, 4.9, 5.1, 29.0, 31.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)
        self.ledger.tick(self.now_us)
        for account in self.accounts:
            account.at(self.now_us)

    @precondition(lambda self: len(self.accounts) > 12)
    @rule()
    def ends(self) -> None:
        self.close()

    def close(self) -> None:
        self.ledger.close(self.now_us)
        for account in self.accounts:
            account.at(self.now_us)
            account.closed = True
        self.check_counters()
        assert self.ledger.pending_count == 0
        self.check_lines()
        absent = [(a.reply.marker, set(a.others) - set(a.copies)) for a in self.accounts if a.owes]
        assert sorted(self.missing) == sorted((marker, sessions) for marker, sessions in absent if sessions)
        self.__init__()  # type: ignore[misc]

    def check_lines(self) -> None:
        rows = list(csv.DictReader([DELIVERY_COLUMNS, *self.lines]))
        assert sorted(row["marker"] for row in rows) == sorted(account.reply.marker for account in self.accounts)
        by_marker = {row["marker"]: row for row in rows}
        for account in self.accounts:
            row = by_marker[account.reply.marker]
            assert row["end"] == account.end
            assert set(row["marks"].split("+")) - {""} == account.marks
            assert row["message_id"] == (str(account.message_id) if account.known_id else "")
            for name in ("sent", "answered", "received"):
                stamp = getattr(account, f"{name}_us")
                assert (row[name] == "") == (stamp is None)
                assert stamp is None or int(row[name]) - int(row["due"]) == stamp - account.due_us

    @invariant()
    def check_counters(self) -> None:
        interval = self.recorder.cut()
        self.totals.add(interval)
        self.lines += interval.deliveries
        self.missing += [(event["marker"], set(event["sessions"])) for event in interval.events if event["kind"] == "copy_missing"]
        totals, told = self.totals, ends_of(self.accounts)
        assert {end: totals.reply(end) for end in ENDS} == {end: told.get(end, 0) for end in ENDS}
        assert totals.reply("attempted") == len(self.accounts)
        assert totals.reply("accepted") + totals.reply("refused") == totals.reply("attempted")
        assert totals.reply("accepted") == sum(totals.reply(end) for end in ENDS[1:]) + told.get("pending", 0)
        assert {mark: totals.reply(mark) for mark in MARKS} == {mark: sum(mark in a.marks for a in self.accounts) for mark in MARKS}
        assert totals.reply("stray") == self.strays
        assert totals.reply("unread") == sum(a.end == "undetermined" and not a.known_id for a in self.accounts)
        kinds = Counter(f"reply.refused.{a.kind}" for a in self.accounts if a.end == "refused")
        assert {name: n for name, n in totals.counters.items() if name.startswith("reply.refused.") and n} == kinds
        assert totals.counters.get("copies.owed", 0) == sum(len(a.others) for a in self.accounts if a.owes)
        assert totals.counters.get("copies.seen", 0) == sum(len(a.copies) for a in self.accounts if a.owes)
        assert {name: h.count for name, h in totals.histograms.items()} == dict(self.counts)
        assert {name: h.sum_us for name, h in totals.histograms.items()} == {name: self.sums[name] for name in self.counts}
        assert self.ledger.pending_count >= told.get("pending", 0) + sum(a.lacks_copies(self.now_us) for a in self.accounts)

    def teardown(self) -> None:
        self.close()


LedgerModel.TestCase.settings = settings(max_examples=250, stateful_step_count=60, suppress_health_check=list(HealthCheck))
TestLedgerModel = LedgerModel.TestCase
