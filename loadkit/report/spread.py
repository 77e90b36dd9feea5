"""The charts of how waits are spread: the percentile curve, and the legs of a reply's way side by side."""

from __future__ import annotations

from loadkit import units
from loadkit.report import axes
from loadkit.report.drawing import COLOURS, Chart, blank, chart, log_note, ms_text
from loadkit.results.reader import Run

__all__ = ["LEGS", "curve", "legs"]

LEGS = (
    "reply.response",
    "reply.lag",
    "reply.delivery",
    "reply.post",
    "desk.wait",
    "answer.wait",
    "echo.delivery",
    "question.delivery",
)
_STEPS_A_DECADE = 24
_WIDTHS = {"delivery": 4.5, "response": 2}  # delivery lies wide below response, to be seen where both agree
_RANKS = {"delivery": 1001, "response": 1000}
_MARKS = (("p50", "circle", "delivery", 11), ("p95", "line-ns-open", "wanted", 11), ("p99", "circle-open", "response", 11))


def curve(run: Run) -> Chart | None:
    """Return response and delivery by percentile, every nine as wide as the one before; None where no reply arrived."""
    found = {name: run.totals.histogram(f"reply.{name}") for name in ("delivery", "response")}
    most = max(histogram.count for histogram in found.values())
    if not most:
        return None
    figure = blank()
    values: list[float | None] = []
    for name, histogram in found.items():
        inverses = _inverses(histogram.count)
        percents = [100 - 100 / inverse for inverse in inverses[:-1]] + [100.0] * bool(inverses)  # the last point is the slowest reply
        column = [units.ms(us) for us in histogram.percentiles(percents)]
        texts = [f"{name} p{percent:.6g}: {ms_text(value)}" for percent, value in zip(percents, column, strict=True)]
        style = {"color": COLOURS[name], "width": _WIDTHS[name]}
        hover = "%{text}<extra></extra>"
        figure.add_scatter(x=inverses, y=column, name=name, mode="lines", line=style, text=texts, hovertemplate=hover)
        figure.data[-1].legendrank = _RANKS[name]
        values += column
    figure.update_layout(xaxis=axes.percentile_axis(most), yaxis=axes.latency_axis(values), hovermode="x")
    caption = (
        "Read upwards from a percentage: so large a share of the replies was at least this quick. Each nine to the right is as wide as the "
        "one before, so the rare slow replies stay visible; the curves end with the slowest reply."
    )
    return chart("curve", "How the waits are spread", caption + log_note(values), figure)


def _inverses(count: int) -> list[float]:
    """Return 1/(1-p) evenly over the decades, up to the last percentile that this many values can tell apart."""
    if count <= 1:
        return [1.0] * count
    found, at = [], 0
    while (inverse := 10 ** (at / _STEPS_A_DECADE)) < count:
        found.append(round(inverse, 6))
        at += 1
    return [*found, float(count)]


def legs(run: Run) -> Chart | None:
    """Return median, p95 and p99 of every leg that has values; None where none has."""
    found = {name: run.totals.histogram(name) for name in LEGS}
    rows = {name: [units.ms(us) for us in histogram.percentiles((50, 95, 99))] for name, histogram in found.items() if histogram.count}
    if not rows:
        return None
    figure = blank()
    for name, values in rows.items():
        style = {"color": COLOURS["wanted"], "width": 1.4}
        figure.add_scatter(x=values, y=[name] * 3, mode="lines", line=style, showlegend=False, hoverinfo="skip")
    for column, (label, symbol, colour, size) in enumerate(_MARKS):
        points = {name: values[column] for name, values in rows.items()}
        marker = {"symbol": symbol, "size": size, "color": COLOURS[colour], "line": {"width": 2, "color": COLOURS[colour]}}
        texts = [f"{name} {label}: {ms_text(value)}" for name, value in points.items()]
        place = {"x": list(points.values()), "y": list(points)}
        figure.add_scatter(**place, mode="markers", name=label, marker=marker, text=texts, hovertemplate="%{text}<extra></extra>")
    spread = [value for values in rows.values() for value in values]
    names = {"categoryorder": "array", "categoryarray": [*rows][::-1], "showgrid": False}
    figure.update_layout(xaxis=axes.latency_axis(spread), yaxis=names, hovermode="closest")
    caption = (
        "From each median (dot) over p95 (stroke) to p99 (ring): the further right, the longer; the longer the line, the more uneven. "
        "For any one reply, lag and delivery add up to response; percentiles of different legs do not add up."
    )
    return chart("legs", "The legs of a reply's way", caption + log_note(spread, along="to the right"), figure, 100 + 30 * len(rows))
