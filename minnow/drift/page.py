"""The page of drift: one file without scripts, whose looks follow the reader's light or dark."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from handler.inference.drift import MAX_LUCK, MIN_PSI
from minnow.drift.charts import draw_bars, draw_timeline, format_share, format_time
from minnow.drift.windows import SHOWN_BINS, Counts, Finding, Period, add_counts

TITLES = {
    "label": "Answers",
    "labels": "Labels given to a text",
    "score": "Score of the likeliest label",
    "value": "Value, in standard deviations",
    "length": "Tokens of a text",
    "unknown": "Share of unknown words",
    "truncated": "Texts that are cut",
    "script": "Script",
}
STYLE = """
:root { color-scheme: light dark;
  --back: light-dark(#f6f7f9, #14171c); --card: light-dark(#fff, #1d2127);
  --line: light-dark(#d5dae1, #363d47); --text: light-dark(#1a1d21, #e8eaed);
  --soft: light-dark(#555e69, #a5adb8); --main: light-dark(#0b57b7, #7db4ff);
  --was: light-dark(#b6bec9, #5b6572); --good: light-dark(#16803d, #4ac878);
  --bad: light-dark(#b3261e, #ff8f86); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 52rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.2rem; margin: 0; }
h3 { font-size: .95rem; margin: 0 0 .4rem; } p { margin: .3rem 0; } .soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.1rem; margin-top: 1.1rem; }
.head { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: baseline; }
.badge { font-weight: 600; } .badge.bad { color: var(--bad); } .badge.good { color: var(--good); }
ul { margin: .4rem 0 .8rem; padding-left: 1.2rem; } li { margin: .15rem 0; }
.grid { display: grid; gap: 1.2rem 2rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); }
svg { width: 100%; height: auto; display: block; } .grid svg { max-width: 24rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg text.share { font-size: 10px; font-variant-numeric: tabular-nums; }
svg .end { text-anchor: end; } .grid-line, svg .grid { stroke: var(--line); margin: 0; }
svg .level { stroke: var(--bad); stroke-dasharray: 5 4; }
svg .line { fill: none; stroke: var(--soft); stroke-width: 1.5; opacity: .6; }
svg .period { fill: var(--bad); opacity: .09; }
svg circle { stroke: var(--card); stroke-width: 1.5; }
svg .bad { fill: var(--bad); } svg .good { fill: var(--good); }
svg .was { fill: var(--was); } svg .is { fill: var(--main); }
.key span { display: inline-block; width: .8rem; height: .6rem; border-radius: 2px;
  margin: 0 .35rem 0 .9rem; } .key span:first-child { margin-left: 0; }
.was-key { background: var(--was); } .is-key { background: var(--main); }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; } th, td { text-align: left; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid var(--line); } th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; } details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--main); } .scroll { overflow-x: auto; }
"""


def make_page(findings: Sequence[Finding], now: float | None = None) -> str:
    """Return the page.

    Args:
        now: In seconds since 1970; None: now.
    """
    made = format_time(time.time() if now is None else now)
    sections = "".join(_describe(finding) for finding in findings)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Drift</title><link rel="icon" href="data:,"><style>{STYLE}</style></head><body>'
        f'<h1>Drift</h1><p class="soft">Texts and answers beside the rows that each model was '
        f"measured on. Made {made}; times are UTC.</p>{sections}"
        f'<p class="soft">A feature has drifted where its population stability index, less what '
        f"chance adds, is {MIN_PSI:g} or more, and chance alone would make so large a difference "
        f"in fewer than one window in {1 / MAX_LUCK:,.0f}, all features together.</p>"
        "</body></html>\n"
    )


def say_period(finding: Finding, period: Period) -> list[str]:
    """Return since when a model drifts, or drifted, and in what; a line each."""
    begun = format_time(period.since)
    ended = f"From {begun} to {format_time(period.until)}" if period.is_over else f"Since {begun}"
    lines = [f"{ended}, in {period.texts:,} texts:"]
    for feature in period.drift.features:
        shares = [
            f"{change.bin}: {format_share(change.found)} of texts, "
            f"{format_share(change.expected)} expected"
            for change in finding.find_changes(feature, period.counts)[:SHOWN_BINS]
        ]
        index = period.drift.differences[feature].psi
        lines.append(f"{TITLES[feature]} (index {index:.2g}): {'; '.join(shares)}")
    return lines


def say_state(finding: Finding) -> str:
    """Return in a few words how a model is."""
    if finding.profile is None:
        return "its bundle, or a bundle's profile, is not known"
    if finding.now is not None:
        return f"drifting since {format_time(finding.now.since)}"
    if not any(window.drift.is_told for window in finding.windows):
        return "too few texts to tell"
    return "no drift now" if finding.periods else "no drift"


def _describe(finding: Finding) -> str:
    state = "bad" if finding.now is not None else "good" if finding.windows else "soft"
    name = f"{escape(finding.model)}, version {escape(finding.version)}"
    parts = [
        f'<section><div class="head"><h2>{name}</h2>'
        f'<span class="badge {state}">{say_state(finding)}</span></div>'
        f'<p class="soft">{finding.texts:,} texts, bundle {escape(finding.bundle)}'
    ]
    profile = finding.profile
    if profile is None or not finding.windows:
        return "".join([*parts, "</p></section>"])
    parts.append(f"; beside {profile.rows:,} rows that it was not fitted to</p>")
    for one in reversed(finding.periods):
        first, *others = (escape(line) for line in say_period(finding, one))
        items = "".join(f"<li>{line}</li>" for line in others)
        parts.append(f"<p><b>{first}</b></p><ul>{items}</ul>")
    parts.append("<h3>Largest index of a feature, by window</h3>")
    parts.append(draw_timeline(finding.windows, finding.periods))
    period = finding.now or (finding.periods[-1] if finding.periods else None)
    counts = period.counts if period is not None else _join(finding)
    parts.append(_draw_features(finding, counts, period))
    parts.append(_list_windows(finding))
    return "".join([*parts, "</section>"])


def _join(finding: Finding) -> Counts:
    return add_counts(window.counts for window in finding.windows)


def _draw_features(finding: Finding, counts: Counts, period: Period | None) -> str:
    if finding.profile is None:
        return ""
    drifted = list(period.drift.features) if period is not None else []
    features = [*drifted, *(name for name in counts if name not in drifted)]
    shown = "while it drifted" if period is not None and period.is_over else "found"
    shown = "found since it drifts" if period is not None and not period.is_over else shown
    parts = [
        '<p class="key soft" style="margin-top:1rem"><span class="was-key"></span>expected'
        f'<span class="is-key"></span>{shown}</p><div class="grid">'
    ]
    for feature in features:
        order = finding.profile.bins[feature].describe()
        chart = draw_bars(TITLES[feature], finding.find_changes(feature, counts), order)
        mark = ' <span class="badge bad">drifted</span>' if feature in drifted else ""
        parts.append(f"<div><h3>{TITLES[feature]}{mark}</h3>{chart}</div>")
    return "".join([*parts, "</div>"])


def _list_windows(finding: Finding) -> str:
    rows = "".join(
        f"<tr><td>{format_time(one.since)}</td><td>{format_time(one.until)}</td>"
        f'<td class="number">{one.texts:,}</td><td class="number">{one.drift.psi:.3f}</td>'
        f"<td>{', '.join(TITLES[name] for name in one.drift.features) or '–'}</td></tr>"
        for one in finding.windows
    )
    return (
        f'<details><summary>All {len(finding.windows)} windows</summary><div class="scroll">'
        '<table><thead><tr><th>from</th><th>to</th><th class="number">texts</th>'
        f'<th class="number">index</th><th>drifted</th></tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )
