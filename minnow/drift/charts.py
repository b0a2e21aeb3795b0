"""Charts of drift, as SVG whose colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from handler.inference.drift import MIN_PSI
from minnow.drift.windows import Change, Period, Window

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 28
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
LOWEST = 0.01  # of the index, on a logarithmic axis
NUM_TIMES = 4  # that the axis of time names
BAR_WIDTH, BAR_LEFT, BAR_ROW = 340, 128, 30
MAX_BARS = 12
BIN_CHARACTERS = 18  # of a label that a chart has room for


def draw_timeline(windows: Sequence[Window], periods: Sequence[Period]) -> str:
    """Return the largest index of each window over time, with the level from which on it counts."""
    # Windows are in the order of their ends: one of a slow process may have begun before others.
    begin = min(window.since for window in windows)
    end = max(window.until for window in windows)
    span = max(end - begin, 1e-3)
    top = max([1.0, *(window.drift.psi for window in windows)])

    def place(when: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (when - begin) / span

    def rise(psi: float) -> float:
        share = math.log(max(psi, LOWEST) / LOWEST) / math.log(top * 1.2 / LOWEST)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = []
    for period in periods:
        left, right = place(period.since), place(period.until)
        parts.append(
            f'<rect class="period" x="{left:.1f}" y="{TOP}" width="{max(2, right - left):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for tick in TICKS:
        if tick <= top * 1.2:
            y = rise(tick)
            kind = "level" if tick == MIN_PSI else "grid"
            parts.append(
                f'<path class="{kind}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{tick:g}</text>'
            )
    for number in range(NUM_TIMES):
        when = begin + span * number / (NUM_TIMES - 1)
        anchor = ("start", "middle", "middle", "end")[number]
        parts.append(
            f'<text text-anchor="{anchor}" x="{place(when):.1f}" y="{HEIGHT - 8}">'
            f"{format_time(when)}</text>"
        )
    middles = [(place((one.since + one.until) / 2), rise(one.drift.psi)) for one in windows]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in middles)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for window, (x, y) in zip(windows, middles, strict=True):
        kind = "bad" if window.drift.features else "good"
        told = ", ".join(window.drift.features) or "no drift"
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>'
            f"{format_time(window.since)} to {format_time(window.until)}, {window.texts:,} texts: "
            f"{window.drift.psi:.3f}, {told}</title></circle>"
        )
    return _frame(WIDTH, HEIGHT, "Population stability index over time", parts)


def draw_bars(title: str, changes: Sequence[Change], order: Sequence[str]) -> str:
    """Return the expected and the found share of each bin.

    Args:
        changes: What changed most first; of many only these are shown.
        order: The bins as they follow each other.
    """
    shown = [change for change in changes if max(change.expected, change.found) >= 0.002]
    shown = sorted(shown[:MAX_BARS], key=lambda change: order.index(change.bin))
    most = max([0.01, *(max(one.expected, one.found) for one in shown)])
    room = BAR_WIDTH - BAR_LEFT - 52
    parts = []
    for row, change in enumerate(shown):
        y = row * BAR_ROW + 4
        name = change.bin
        if len(name) > BIN_CHARACTERS:
            name = f"{name[: BIN_CHARACTERS - 1]}…"
        parts.append(
            f'<text class="end" x="{BAR_LEFT - 8}" y="{y + 15}">{escape(name)}'
            f"<title>{escape(change.bin)}</title></text>"
        )
        for kind, share, offset in (("was", change.expected, 0), ("is", change.found, 11)):
            width = room * share / most
            parts.append(
                f'<rect class="{kind}" x="{BAR_LEFT}" y="{y + offset}" '
                f'width="{max(1, width):.1f}" height="9" rx="2"/>'
                f'<text class="share" x="{BAR_LEFT + width + 6:.1f}" y="{y + offset + 8}">'
                f"{format_share(share)}</text>"
            )
    return _frame(BAR_WIDTH, len(shown) * BAR_ROW + 4, title, parts)


def format_time(when: float) -> str:
    """Return a time as people read it, of the world: 2026-11-27 14:05."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M")


def format_share(share: float) -> str:
    """Return a share in percent: 0.1234 -> "12 %", 0.0123 -> "1.2 %"."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 or not percent else f"{percent:.1f} %"


def _frame(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
