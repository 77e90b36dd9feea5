"""The charts of the page by name; here those over the run's time."""

from __future__ import annotations

from typing import Any

from loadkit import units
from loadkit.measure import threshold
from loadkit.report import arrivals, axes
from loadkit.report.drawing import COLOURS, Chart, line, log_note, ms_text, over_run, time_chart
from loadkit.report.spread import curve, legs
from loadkit.report.timeline import Timeline, timeline
from loadkit.results.reader import Run

__all__ = ["charts"]

_STACK = ("on_time", "late", "recovered", "undetermined", "lost", "refused")


def charts(run: Run, summary: dict[str, Any]) -> dict[str, Chart]:
    """Return the charts by name; one without any data is left out."""
    time = timeline(run)
    over_time = (_over_time(run, summary, time), _ends(run, time), arrivals.rates(run, time), _sockets(run, time), _customers(run, time))
    made = (*over_time, curve(run), legs(run))
    return {one.name: one for one in made if one is not None}


def _over_time(run: Run, summary: dict[str, Any], time: Timeline) -> Chart | None:
    columns = {p: time.percentile("reply.response", p) for p in (99, 95, 50)}
    delivery = time.percentile("reply.delivery", 50)
    values = [value for column in (*columns.values(), delivery) for value in column if value is not None]
    if not values:
        return None
    figure = over_run(run, time)
    traces = (
        line(time, "delivery p50", delivery, "delivery", width=4.5) | {"legendrank": 1001},  # wide and below, to be seen where both agree
        line(time, "response p50", columns[50], "response", width=2),
        line(time, "response p95", columns[95], "response", width=1.3, dash="dash"),
        line(time, "response p99", columns[99], "response", width=1, dash="dot"),
    )
    for trace in traces:
        figure.add_scatter(**trace, text=[ms_text(value) for value in trace["y"]], hovertemplate="%{text}")
    limit = _limit(summary, max(values))
    if limit is not None:
        name, at = limit
        style = {"color": COLOURS["limit"], "width": 1.2}
        figure.add_scatter(x=[0, time.seconds], y=[at, at], mode="lines", name=name, line=style, hoverinfo="skip")
        values.append(at)
    figure.update_layout(yaxis=axes.latency_axis(values))
    caption = (
        "What customers waited for a reply, from when it was due (response), and how long it took once sent (delivery). "
        "The two solid lines lie together while replies leave on time; where they part, replies waited to be sent. "
        f"A point is {units.seconds_text(time.width_s)} of the run, by when the reply arrived; a gap means that none arrived."
    )
    if limit is not None:
        caption += " The red line is the limit of a threshold over the whole run."
    return time_chart(run, time, "over-time", "Response and delivery over time", caption + log_note(values), figure, 340)


def _limit(summary: dict[str, Any], highest_ms: float) -> tuple[str, float] | None:
    """Return the first threshold on a percentile of the response, unless it lies so high that it would flatten the data."""
    for one in threshold.parse_all(row["text"] for row in summary["thresholds"]):
        if one.metric == "reply.response" and one.aggregate.startswith("p(") and one.operator in ("<", "<="):
            at = one.limit / 1000
            return (f"{one.aggregate} {one.operator} {ms_text(at)}", at) if 0 < at <= 3 * highest_ms else None
    return None


def _ends(run: Run, time: Timeline) -> Chart | None:
    columns = {end: time.counter(f"reply.{end}") for end in _STACK}
    columns = {end: column for end, column in columns.items() if any(column)}
    if not columns:
        return None
    figure = over_run(run, time)
    for end, column in columns.items():
        marker = {"color": COLOURS[end], "line": {"width": 0}}
        figure.add_bar(x=time.middles, y=column, name=end.replace("_", " "), marker=marker, hovertemplate="%{y}")
    span = "second" if time.width_s == 1 else units.seconds_text(time.width_s)
    figure.update_layout(barmode="relative", bargap=0.08, yaxis={"title": {"text": f"replies per {span}"}})
    caption = "Every reply stands in the span in which its end was known, not in the one in which it was sent."
    if any((n or 0) < 0 for column in columns.values() for n in column):
        caption += (
            " A bar below zero takes an end back: a reply counted as lost came after all, say, and stands above zero under its new end."
        )
    if run.undecided:
        caption += f" Not drawn: {units.count_text(run.undecided)} whose process died before it told their end."
    return time_chart(run, time, "ends-over-time", "Ends of replies over time", caption, figure)


def _sockets(run: Run, time: Timeline) -> Chart | None:
    opened, wanted, dropped = time.gauge("cable.open"), time.gauge("cable.wanted"), time.counter("cable.dropped")
    if all(value is None for value in (*opened, *wanted)):
        return None
    figure = over_run(run, time)
    figure.add_scatter(**line(time, "wanted", wanted, "wanted", width=1.4, dash="dash"), hovertemplate="%{y:.0f}")
    figure.add_scatter(**line(time, "open", opened, "delivery"), hovertemplate="%{y:.0f}")
    caption = "Customers' cables that are open and confirmed, against those that should be."
    if any(dropped):
        figure.add_bar(x=time.middles, y=dropped, name="dropped", marker={"color": COLOURS["lost"]}, hovertemplate="%{y}")
        besides = ", those cut on purpose included" if any(time.counter("cable.cut")) else ""
        caption += f" A bar counts the cables that ended in that span without our closing them{besides}."
    figure.update_layout(yaxis={"rangemode": "tozero"})
    return time_chart(run, time, "sockets", "Sockets", caption + " Where the lines part, customers could hear nothing.", figure, 260)


def _customers(run: Run, time: Timeline) -> Chart | None:
    present, wanted, waiting = time.gauge("customers"), time.gauge("customers.wanted"), time.gauge("desk.waiting")
    if all(value is None for value in (*present, *wanted)):
        return None
    figure = over_run(run, time)
    is_open = any(time.counter("schedule.offered"))
    traces = [
        line(time, "most at once" if is_open else "wanted", wanted, "wanted", width=1.4, dash="dash"),
        line(time, "present", present, "on_time"),
        line(time, "questions waiting", waiting, "late", width=1.6),
    ]
    # A cap far above the customers would only flatten their line.
    if is_open and 2 * max((n or 0 for n in present), default=0) < max((n or 0 for n in wanted), default=0):
        del traces[0]
    for trace in traces:
        figure.add_scatter(**trace, hovertemplate="%{y:.0f}")
    figure.update_layout(yaxis={"rangemode": "tozero"})
    meant = "who arrived and have not left yet" if is_open else "against those the load asked for"
    caption = (
        f"Customers present, {meant}; and questions that no agent was free to pick up. "
        "Where the questions pile up, there are too few agents, whatever the server does."
    )
    return time_chart(run, time, "customers", "Customers", caption, figure, 260)
