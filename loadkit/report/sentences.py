"""What a run's numbers mean, in whole sentences: its verdict, whether to believe it, and how response and delivery differ."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.measure import threshold, validity, verdict
from loadkit.results.reader import Run

__all__ = [
    "believed",
    "copies",
    "difference",
    "doubts",
    "is_void",
    "limit_text",
    "many",
    "margin_text",
    "model",
    "scale",
    "untimed",
    "value_text",
    "verdict_sentence",
    "waiting_share",
]


def verdict_sentence(run: Run, summary: dict[str, Any]) -> str:
    """Return why the verdict is what it is, and whether it is not the one that the run had by its own thresholds."""
    own = {line.text for line in threshold.parse_all(run.header.thresholds)}
    others = "" if {row["text"] for row in summary["thresholds"]} == own else " Judged by other thresholds than the run's own."
    return _why(run, summary) + others


def _why(run: Run, summary: dict[str, Any]) -> str:
    word, judged = summary["verdict"], summary["thresholds"]
    if word == "void":
        spoken = [reason["text"] for reason in summary["validity"]["reasons"] if is_void(reason)]
        return " ".join(map(_sentence, spoken)) or "The run did not come to its end."
    if word == "failed":
        return _broken([row for row in judged if not row["passed"]])
    if word == "errors":
        n = verdict.requests_failed(run.totals)
        return f"{many(n, 'request or reply', 'requests or replies')} failed, and no thresholds were declared that would allow for it."
    if word == "regressed":
        return "The run is worse than its baseline."
    if run.end is not None and run.end.at_once:
        seconds = units.seconds_text(run.end.seconds + run.end.drain_seconds)
        return f"A second signal ended the run at once, {seconds} after its start: what was in flight has no end, and nothing is judged."
    held = f"All {len(judged)} thresholds held." if len(judged) > 1 else "The threshold held." if judged else ""
    if word == "interrupted":
        return f"A signal cut the run short after {units.seconds_text(run.seconds)}; judged as it stands. {held}".strip()
    return held or "Nothing failed; no thresholds were declared, so nothing was promised either."


def _broken(rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    if first["value"] is None:
        text = f"“{first['text']}” had no data to be judged by, and so did not pass."
    else:
        margin = margin_text(first)
        text = f"“{first['text']}” was broken: it came to {value_text(first['value'], first['unit'])}{', ' + margin if margin else ''}."
    return text + (f" So {'was one other' if len(rows) == 2 else f'were {len(rows) - 1} others'}." if len(rows) > 1 else "")


def believed(summary: dict[str, Any]) -> str:
    """Return in one sentence whether the measurement can be believed."""
    state = summary["validity"]["state"]
    if state == "void":
        return "Do not plan by these numbers: they do not describe the server."
    if state == "suspect" and {reason["name"] for reason in summary["validity"]["reasons"]} == {"reply.undetermined"}:
        return "What became of some replies nobody can tell: there may be more late and lost ones than were counted."
    if state == "suspect":
        return "Something other than the server may colour the numbers; weigh them against the doubts below."
    return "Nothing about the generator casts doubt on the numbers."


def is_void(reason: dict[str, Any]) -> bool:
    """Return whether a reason of validity voids a run; the others make it suspect."""
    return validity.voids(reason["name"])


def doubts(summary: dict[str, Any], most: int) -> list[str]:
    """Return what casts doubt on a run without voiding it, in so many lines at most; the last one counts the others."""
    found = [reason["text"] for reason in summary["validity"]["reasons"] if not is_void(reason)]
    return found if len(found) <= most else [*found[: most - 1], f"and {len(found) - most + 1} further doubts"]


def value_text(value: float | None, unit: str) -> str:
    """Return a threshold's value for a reader; `unit` is ms, share, or empty for a number."""
    if value is None:
        return "no data"
    if unit == "ms":
        return units.seconds_text(value / 1000)
    if unit == "share":
        return units.share_text(value)
    return units.count_text(value) if float(value).is_integer() else f"{value:.4g}"


def margin_text(row: dict[str, Any]) -> str:
    """Return how a judged threshold's value stands to its limit: "4.2 × the limit", "15 % over the limit", "20 % below the minimum".

    Empty where there is nothing to compare: no value, a limit of zero, or a value that is to be (or not to be) exactly so.
    """
    line = threshold.parse(row["text"])
    limit = line.limit / (1000 if row["unit"] == "ms" else 1)
    if row["value"] is None or row["value"] < 0 or limit <= 0 or line.operator in ("==", "!="):
        return ""
    ratio, name = row["value"] / limit, "limit" if line.operator in ("<", "<=") else "minimum"
    if ratio == 1:
        return f"at the {name}"
    if ratio >= 1.995:
        return f"{units.count_text(ratio) if ratio >= 9.95 else f'{ratio:.2g}'} × the {name}"
    if ratio > 1:
        return f"{_percent(ratio - 1)} {'over' if name == 'limit' else 'above'} the {name}"
    return f"{_percent(ratio)} of the limit" if name == "limit" else f"{_percent(1 - ratio)} below the minimum"


def _percent(share: float) -> str:
    """Return a share up to one in whole percent; what is neither nothing nor all is not told as such."""
    percent = share * 100
    return "<1 %" if 0 < percent < 0.5 else ">99 %" if 99.5 <= percent < 100 else f"{percent:.0f} %"


def limit_text(name: str, value: float) -> str:
    """Return a validity limit, or the value held against it: lags are seconds, the others shares; empty for what has no limit."""
    if name not in validity.LIMITS:
        return ""
    return units.seconds_text(value) if "lag" in name else units.share_text(value)


def waiting_share(run: Run) -> float | None:
    """Return which share of all the time from due to received had passed before the replies were sent; None where that cannot be told."""
    response, delivery = (run.totals.histogram(name) for name in ("reply.response", "reply.delivery"))
    if not response.sum_us or response.count != delivery.count:
        return None
    return min(1.0, max(0.0, 1 - delivery.sum_us / response.sum_us))


def difference(run: Run, summary: dict[str, Any]) -> str:
    """Return what the distance between response and delivery says about this run."""
    share, p50 = waiting_share(run), summary["metrics"]["reply.response"]["p50"]
    if p50 is None:
        return "No reply reached a customer, so there is nothing to compare."
    timed = summary["metrics"]["reply.response"]["count"]
    few = _few(timed)
    if share is None or share < 0.1:
        return "Response counts from when a reply was due, delivery from when it was sent. Here they agree: replies left on time." + few
    return (
        f"Response counts from when a reply was due, delivery from when it was sent: {units.share_text(round(share, 3))} of the customers' "
        "waiting passed before the replies were even sent. Delivery alone would look better than what customers felt; plan by response."
        + few
    )


def _few(timed: int) -> str:
    """Return which percentiles of so few replies are no more than the slowest one; empty where none is."""
    names = [name for name, least in (("p95", 20), ("p99", 100), ("p99.9", 1000)) if timed < least]
    if not names:
        return ""
    told = " and ".join(", ".join(names).rsplit(", ", 1))
    return f" With {many(timed, 'reply', 'replies')} timed, {told} {'is' if len(names) == 1 else 'are'} no more than the slowest."


def untimed(summary: dict[str, Any]) -> str:
    """Return how many accepted replies have no response time that a percentile could count, by their ends; "" where all have one."""
    ends = {end: n for end in ("recovered", "lost", "undetermined") if (n := summary["replies"][end]) > 0}
    told = ", ".join(f"{units.count_text(n)} {end}" for end, n in ends.items())
    return f"{many(sum(ends.values()), 'reply is', 'replies are')} in no percentile: {told}." if ends else ""


def copies(summary: dict[str, Any]) -> str:
    """Return what became of the copies that the other sessions of verified contacts were owed, "" where none was."""
    owed, seen, missing = (units.count_text(summary["copies"][name]) for name in ("owed", "seen", "missing"))
    return f"{owed} further copies owed to verified contacts' other sessions = {seen} seen + {missing} missing" if owed != "0" else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def model(run: Run, summary: dict[str, Any]) -> str:
    """Return what paced the load: "50 customers", or the stages or arrivals it was asked for, with how many customers that came to."""
    customers = many(summary["run"]["customers"], "customer", "customers")
    for name in ("stages", "arrivals"):
        asked = run.header.settings.get(name)
        if isinstance(asked, str) and asked:
            return f"{name} {asked} (at most {customers} at once)"
    return customers


def scale(run: Run, summary: dict[str, Any]) -> str:
    """Return what the load was: its model, and how many agents answered."""
    return f"{model(run, summary)}, {many(summary['run']['agents'], 'agent', 'agents')}"


def many(n: int, one: str, more: str) -> str:
    """Return a number with its noun."""
    return f"{units.count_text(n)} {one if n == 1 else more}"
