"""What the charts have in common: colours, an empty figure over the run's time, lines with gaps, and the finished chart as a value.

No colours of text, lines or ground are set here, because the page sets them by the reader's colour scheme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from loadkit import units
from loadkit.report import axes
from loadkit.report.timeline import Timeline
from loadkit.results.reader import Run

__all__ = ["COLOURS", "Chart", "blank", "chart", "line", "log_note", "ms_text", "over_run", "time_chart"]

# Middle tones, so that they stand out on white and on near-black alike; told apart without red against green.
COLOURS = {
    "response": "#d9662b",
    "delivery": "#2f7fd6",
    "limit": "#d1495b",
    "on_time": "#2a9d8f",
    "late": "#e0a030",
    "recovered": "#8a6fd0",
    "lost": "#d1495b",
    "undetermined": "#9aa3ad",
    "refused": "#66727f",
    "wanted": "#8b95a1",
    "offered": "#b3bac2",
    "lag": "#8b95a1",
    "before_save": "#2f7fd6",
    "after_save": "#d9662b",
    "started": "#2f7fd6",
    "finished": "#d9662b",
}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure as JSON that is safe inside a script element, with a caption that says how to read it, and its height in pixels."""

    name: str
    title: str
    caption: str
    json: str
    height: int


def chart(name: str, title: str, caption: str, figure: Any, height: int = 300) -> Chart:
    """Return a figure as a finished chart."""
    return Chart(name, title, caption, figure.to_json(), height)


def blank() -> Any:
    """Return an empty figure."""
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"}
    return go.Figure(layout={"template": "none", "margin": {"l": 58, "r": 14, "t": 8, "b": 40}, "legend": legend})


def over_run(run: Run, time: Timeline) -> Any:
    """Return an empty figure over the run's time; the drain after the stop is shaded."""
    figure = blank()
    figure.update_layout(xaxis=axes.time_axis(time.seconds), hovermode="x unified")
    if _has_drain(run, time):
        figure.add_vrect(x0=run.seconds, x1=time.seconds, fillcolor="#8b95a1", opacity=0.15, line_width=0, layer="below")
    return figure


def time_chart(run: Run, time: Timeline, name: str, title: str, caption: str, figure: Any, height: int = 300) -> Chart:
    """Return a figure over the run's time as a finished chart."""
    shade = " Shaded: the drain after the stop." if _has_drain(run, time) else ""
    return chart(name, title, caption + shade, figure, height)


def _has_drain(run: Run, time: Timeline) -> bool:
    return run.end is not None and time.seconds - run.end.seconds > 0.5 * time.width_s


def line(
    time: Timeline, name: str, column: Sequence[float | None], colour: str, *, width: float = 2.4, dash: str = "solid"
) -> dict[str, Any]:
    """Return a trace over the run's time with gaps where there is None; small dots keep a lonely point between two gaps visible."""
    return {
        "x": time.middles,
        "y": column,
        "name": name,
        "mode": "lines+markers",
        "line": {"color": COLOURS[colour], "width": width, "dash": dash},
        "marker": {"size": 3 if len(column) > 60 else 5, "color": COLOURS[colour]},
        "connectgaps": False,
    }


def ms_text(value_ms: float | None) -> str:
    """Return milliseconds for a reader."""
    return units.seconds_text(None if value_ms is None else value_ms / 1000)


def log_note(values_ms: Iterable[float | None], *, along: str = "upwards") -> str:
    """Return what a caption adds where the axis of these latencies is logarithmic."""
    return f" The scale is logarithmic: equal steps {along} are equal factors." if axes.is_log(values_ms) else ""
