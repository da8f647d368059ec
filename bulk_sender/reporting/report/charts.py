"""Charts of a report: Vega-Lite documents, drawn as static SVG by vl-convert.

vl-convert draws Vega-Lite without a browser or a network, and has no dependencies. Altair would only write the same
documents, at the cost of five more packages and 0.3 s. Lighter libraries such as pygal have a fixed style, which
neither dark mode nor print can change; here every colour is a CSS variable of the page. vl-convert takes 84 MB, so it
is optional: without it a report has tables.

Only numbers and fixed words are in a chart. Nothing from outside can get into its SVG.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import Any

from bulk_sender.reporting.report.timeline import GROUPS, Timeline
from bulk_sender.text.numbers import duration, number

Spec = dict[str, Any]

WIDE, NARROW = 760, 340
"""Widths in pixels: for a screen or paper, and for a phone, where the wide chart would be too small to read."""

_HEIGHT = 220
_FEWEST_BUCKETS = 6
_SHORTEST_S = 2.0
_MOST_SHADES = 60
_NICE_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)

_NOISE = re.compile(r' (?:role|class|aria-[a-z]+|font-family|stroke-miterlimit|pointer-events)="[^"]*"')
_OPENING = re.compile(r"^<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")

COLOURS = {group: f"var(--{group})" for group in GROUPS}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in two widths, as SVG elements with the same alternative text."""

    wide: str
    narrow: str


class NoCharts(Exception):
    """Charts cannot be drawn. The text says why, for the reader of the report."""


def is_worth_drawing(timeline: Timeline) -> bool:
    """Whether the run was long enough for charts."""
    return len(timeline.buckets) >= _FEWEST_BUCKETS and timeline.span_s >= _SHORTEST_S


def shows_asked(timeline: Timeline, asked_per_s: float) -> bool:
    """Whether to draw the rate asked for: far above the rate reached, it would make everything else too small."""
    return asked_per_s <= 2 * _fastest(timeline)


def _fastest(timeline: Timeline) -> float:
    return max(bucket.per_second(bucket.sent) for bucket in timeline.buckets)


def slowest_s(timeline: Timeline) -> float:
    """Return the highest 95th percentile, which decides between seconds and milliseconds."""
    return max(bucket.p95_s or 0.0 for bucket in timeline.buckets)


def throughput(timeline: Timeline, asked_per_s: float) -> Chart:
    """Draw requests a second over time, stacked by outcome. Raises NoCharts."""
    fastest = _fastest(timeline)
    text = (
        f"Bar chart of requests a second over {duration(timeline.span_s)} of sending: "
        f"at most {number(fastest)}, asked for {number(asked_per_s)}. The table below has the numbers."
    )
    return Chart(*(_drawn(_throughput(timeline, asked_per_s, width), text) for width in (WIDE, NARROW)))


def latency(timeline: Timeline) -> Chart:
    """Draw the median and the 95th percentile of the response time over time. Raises NoCharts."""
    slowest = slowest_s(timeline)
    text = (
        f"Line chart of the time to an answer over {duration(timeline.span_s)} of sending, median and 95th percentile: "
        f"at most {duration(slowest)}. The table below has the numbers."
    )
    return Chart(*(_drawn(_latency(timeline, width), text) for width in (WIDE, NARROW)))


def _throughput(timeline: Timeline, asked_per_s: float, width: int) -> Spec:
    bars = [
        {"from": _round(bucket.start_s), "to": _round(bucket.end_s), "group": group, "rate": _round(rate)}
        for bucket in timeline.buckets
        for group in GROUPS
        if (rate := bucket.per_second(bucket.requests(group))) > 0
    ]
    layers: list[Spec] = [
        *_pauses(timeline),
        {
            "data": {"values": bars},
            "transform": [{"calculate": f"indexof({list(GROUPS)}, datum.group)", "as": "place"}],
            "mark": {"type": "bar", "binSpacing": 0},
            "encoding": {
                "x": {"field": "from", "type": "quantitative", "bin": "binned"} | _time_axis(timeline, width),
                "x2": {"field": "to"},
                "y": {"field": "rate", "type": "quantitative", "stack": "zero", "title": None},
                "order": {"field": "place"},
                "color": {
                    "field": "group",
                    "scale": {"domain": list(GROUPS), "range": [COLOURS[group] for group in GROUPS]},
                    "legend": None,
                },
            },
        },
    ]
    if shows_asked(timeline, asked_per_s):
        layers.append(
            {
                "data": {"values": [{"rate": asked_per_s}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "stroke": "var(--ink)", "strokeWidth": 1},
                "encoding": {"y": {"field": "rate", "type": "quantitative"}},
            }
        )
    return _spec([*layers, *_joints(timeline)], width)


def _latency(timeline: Timeline, width: int) -> Spec:
    unit = 1000 if slowest_s(timeline) < 1 else 1
    spans = [
        {
            "from": _round(bucket.start_s),
            "to": _round(bucket.end_s),
            "p50": _round(bucket.p50_s * unit),
            "p95": _round(bucket.p95_s * unit),
        }
        for bucket in timeline.buckets
        if bucket.p50_s is not None and bucket.p95_s is not None
    ]
    across = {"x": {"field": "from", "type": "quantitative"} | _time_axis(timeline, width), "x2": {"field": "to"}}
    p50, p95 = ({"field": name, "type": "quantitative", "title": None} for name in ("p50", "p95"))
    # Steps instead of a curve: each value is for its bucket, and without an answer there is nothing to connect.
    layers: list[Spec] = [
        *_pauses(timeline),
        {
            "mark": {"type": "rect", "fill": COLOURS["accepted"], "opacity": 0.18},
            "encoding": across | {"y": p50, "y2": {"field": "p95"}},
        },
        {"mark": _stroke(1), "encoding": across | {"y": p95}},
        {"mark": _stroke(2.5), "encoding": across | {"y": p50}},
    ]
    return _spec([*layers, *_joints(timeline)], width) | {"data": {"values": spans}}


def _stroke(width: float) -> Spec:
    return {"type": "rule", "stroke": COLOURS["accepted"], "strokeWidth": width}


def _pauses(timeline: Timeline) -> list[Spec]:
    """A shade behind the longest pauses."""
    longest = sorted(timeline.pauses, key=lambda pause: -pause.seconds)[:_MOST_SHADES]
    if not longest:
        return []
    shades = [{"from": _round(pause.start_s), "to": _round(pause.start_s + pause.seconds)} for pause in longest]
    return [
        {
            "data": {"values": shades},
            "mark": {"type": "rect", "fill": "var(--shade)"},
            "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}},
        }
    ]


def _joints(timeline: Timeline) -> list[Spec]:
    """A line where sending ended, and began again in another epoch."""
    if len(timeline.parts) < 2:
        return []
    return [
        {
            "data": {"values": [{"joint": _round(part.start_s)} for part in timeline.parts[1:]]},
            "mark": {"type": "rule", "stroke": "var(--ink)", "strokeDash": [1, 3]},
            "encoding": {"x": {"field": "joint", "type": "quantitative"}},
        }
    ]


def _time_axis(timeline: Timeline, width: int) -> Spec:
    ticks = time_ticks(timeline.span_s, 4 if width == NARROW else 8)
    words = {_round(tick): label for tick, label in ticks}
    return {
        "scale": {"domain": [0, _round(timeline.span_s)], "nice": False},
        "title": None,
        "axis": {
            "values": list(words),
            "labelExpr": f"{list(words.values())}[indexof({list(words)}, datum.value)]",
            "grid": False,
            "zindex": 1,
        },
    }


def time_ticks(span_s: float, most: int) -> list[tuple[float, str]]:
    """Return at most ``most`` + 1 round times of a span, with labels: ``30 s``, ``4:30``, ``2:00 h``."""
    least_s = span_s / most
    days = math.ceil(least_s / _NICE_STEPS_S[-1])
    step_s = next((step for step in _NICE_STEPS_S if step >= least_s), days * _NICE_STEPS_S[-1])
    moments = [index * step_s for index in range(math.floor(span_s / step_s) + 1)]
    if span_s < 120:
        return [(moment, f"{moment:g} s") for moment in moments]
    if step_s < 3600 and span_s < 7200:
        return [(moment, f"{moment // 60:.0f}:{moment % 60:02.0f}") for moment in moments]
    return [(moment, f"{moment // 3600:.0f}:{moment % 3600 // 60:02.0f} h") for moment in moments]


def _spec(layers: list[Spec], width: int) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": _HEIGHT,
        "padding": {"left": 0, "right": 8, "top": 6, "bottom": 0},
        "autosize": {"type": "fit", "contains": "padding"},
        "layer": layers,
        "config": {
            "background": None,
            "aria": False,
            "view": {"stroke": None},
            "axis": {
                "domainColor": "var(--muted)",
                "tickColor": "var(--muted)",
                "gridColor": "var(--line)",
                "labelColor": "var(--muted)",
                "labelFontSize": 12,
                "tickSize": 4,
            },
            "axisY": {
                "domain": False,
                "ticks": False,
                "tickCount": 4,
                "labelPadding": 6,
                "format": ",~f",
                "minExtent": 36,
            },
        },
    }


def _drawn(spec: Spec, text: str) -> str:
    try:
        import vl_convert
    except ImportError:
        raise NoCharts(
            "Charts need one more package: pip install vl-convert-python, then write the report again."
        ) from None
    try:
        svg = vl_convert.vegalite_to_svg(spec)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is not an Exception, and must not break the end of the run
        raise NoCharts(
            f"The charts could not be drawn ({type(error).__name__}); the tables have the numbers."
        ) from None
    return _plain(svg, text)


def _plain(svg: str, text: str) -> str:
    """Make the drawing one image with an alternative text: screen readers would read Vega's text for every mark."""
    opening = _OPENING.match(svg)
    assert opening is not None
    head = f'<svg role="img" aria-label="{html.escape(text)}" viewBox="{opening[1]}">'
    return head + _NOISE.sub("", svg[opening.end() :])


def _round(value: float) -> float:
    return round(value, 3)
