"""How soon drift is found, how often it is said of traffic that did not drift, and what it costs.

Trains and exports a model of airline tweets as `minnow train` does unless told otherwise, and
replays test rows through the function's own way for events and its monitor, with news (AG News)
swapped in as a part of them:

    found    of so many windows of so many texts with so large a share of news, those that tell
    false    of 100 windows of no news each, those that tell all the same
    cost     a warm request with the watch and without it, in turns; one text of each length

Run: python -m benchmarks.drift DATA --work FOLDER     DATA has airline/ and agnews/, as CSV(.gz)
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.http import CONTEXT, make_event
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.lambda_http import LambdaHttp
from handler.inference.classifier import Classifier, load_classifier
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.settings import Settings

AIMS = ((0.1, 2000), (0.3, 500), (1.0, 100))  # share of news -> texts by which it must be found
FOUND_WINDOWS, FALSE_WINDOWS = 50, 100
MOST_FALSE = 5
BATCH = 50  # texts of one event
COST_ROUNDS = 4000
NOWHERE = open(os.devnull, "w")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with airline/ and agnews/")
    parser.add_argument("--work", type=Path, required=True, help="for run and bundle; kept")
    parser.add_argument("--log", type=Path, help="write an example log, for `minnow drift`")
    parser.add_argument("--part", type=float, default=1.0, help="of texts, windows and rounds")
    options = parser.parse_args()
    bundle = make_bundle(options.data / "airline" / "train.csv.gz", options.work)
    classifier = load_classifier(bundle)
    own, news = (read_texts(options.data / name / "test.csv.gz") for name in ("airline", "agnews"))
    rows = classifier.manifest.profile.rows
    print(f"{len(own)} tweets, {len(news)} news; a profile of {rows} rows")
    if options.log is not None:
        write_log(options.log, classifier, own, news)
    is_good = report_found(classifier, own, news, options.part)
    is_good &= report_false(classifier, own, options.part)
    report_cost(classifier, own, round(COST_ROUNDS * options.part))
    return 0 if is_good or options.part < 1 else 1


def list_aims(part: float) -> list[tuple[float, int]]:
    """Return the shares of news, and the texts of their windows."""
    return [(share, max(BATCH, round(num_texts * part))) for share, num_texts in AIMS]


def make_bundle(rows: Path, work: Path) -> Path:
    """Return the bundle in `work`, made by the command line where it is not there yet."""
    run, bundle = work / "run", work / "bundle"
    minnow = [sys.executable, "-m", "minnow"]
    if not bundle.exists():
        work.mkdir(parents=True, exist_ok=True)
        if not run.exists():
            subprocess.run([*minnow, "train", str(rows), "--out", str(run)], check=True)
        subprocess.run(
            [*minnow, "export", str(run), "--out", str(bundle), "--name", "airline"], check=True
        )
    return bundle


def read_texts(path: Path) -> list[str]:
    """Return the column `text`."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def mix(
    own: Sequence[str], news: Sequence[str], num_texts: int, share: float, rng: random.Random
) -> list[str]:
    """Return a window of texts, none twice, of which each is one of the news at that chance."""
    num_news = sum(rng.random() < share for _ in range(num_texts))
    texts = rng.sample(own, num_texts - num_news) + rng.sample(news, num_news)
    rng.shuffle(texts)
    return texts


def replay(classifier: Classifier, texts: Sequence[str]) -> dict[str, Any]:
    """Return the line that the monitor writes of a window: every text answered as an event's."""
    lines: list[dict[str, Any]] = []
    monitor = Monitor(
        lambda line: lines.append(json.loads(line)),
        embeds_metrics=True,
        profile_every=len(texts),
    )
    resources = Resources(Models([Model(classifier, monitor=monitor)]), Settings().events)
    for start in range(0, len(texts), BATCH):
        answer_event({"texts": list(texts[start : start + BATCH])}, CONTEXT, resources)
    (found,) = (line for line in lines if line["message"] == "profile")
    return found


def report_found(
    classifier: Classifier, own: Sequence[str], news: Sequence[str], part: float
) -> bool:
    """Print and return whether every share is found in every window."""
    rng, is_good = random.Random(1), True
    num_windows = round(FOUND_WINDOWS * part)
    print(f"{'share of news':14} {'texts':>6} {'found':>9}  smallest index, in what")
    for share, num_texts in list_aims(part):
        windows = [
            replay(classifier, mix(own, news, num_texts, share, rng)) for _ in range(num_windows)
        ]
        found = sum(window["drift"] for window in windows)
        weakest = min(windows, key=lambda window: window["drift_psi"])
        print(
            f"{share:14.0%} {num_texts:6} {found:4}/{num_windows:<4}  "
            f"{weakest['drift_psi']:.3f}, {', '.join(weakest['drifted'])}"
        )
        is_good &= found == num_windows
    return is_good


def report_false(classifier: Classifier, own: Sequence[str], part: float) -> bool:
    """Print and return whether few enough windows without news are said to have drifted."""
    rng, is_good = random.Random(2), True
    num_windows = round(FALSE_WINDOWS * part)
    print(f"{'no news':14} {'texts':>6} {'false':>9}  largest index")
    for _, num_texts in list_aims(part):
        windows = [replay(classifier, mix(own, (), num_texts, 0, rng)) for _ in range(num_windows)]
        false = sum(window["drift"] for window in windows)
        largest = max(window["drift_psi"] for window in windows)
        print(f"{'':14} {num_texts:6} {false:4}/{num_windows:<4}  {largest:.3f}")
        is_good &= false <= MOST_FALSE
    return is_good


def report_cost(classifier: Classifier, own: Sequence[str], rounds: int) -> None:
    """Print what a warm request takes with the watch beside what it takes without: CPU time of the
    thread, of the medians and of the means, in which the lines count too."""
    long = [" ".join((text + " ") * 20)[:1200] for text in own[:200]]
    print(f"{'a warm request':14} {'without':>9} {'with':>9}  ratio of medians, of means")
    for name, texts in (("a tweet", own[:200]), ("230 words", long)):
        ways = {
            every: _make_way(classifier, texts, every) for every in (0, Settings().profile_every)
        }
        times: dict[int, list[float]] = {every: [] for every in ways}
        for number in range(rounds):
            order = list(ways) if number % 2 else list(reversed(ways))
            for every in order:
                started = time.thread_time()
                ways[every](number)
                times[every].append((time.thread_time() - started) * 1000)
        before, after = (sorted(one[rounds // 10 :]) for one in times.values())
        ratios = [after_ / before_ for before_, after_ in _pair(before, after)]
        print(
            f"{name:14} {statistics.median(before):9.4f} {statistics.median(after):9.4f}  "
            f"{ratios[0]:.3f}, {ratios[1]:.3f}"
        )


def _pair(before: list[float], after: list[float]) -> list[tuple[float, float]]:
    """Return both medians, and both means without the hundredth that the machine disturbed."""
    kept = slice(len(before) * 99 // 100)
    return [
        (statistics.median(before), statistics.median(after)),
        (statistics.fmean(before[kept]), statistics.fmean(after[kept])),
    ]


def _make_way(classifier: Classifier, texts: Sequence[str], every: int) -> Callable[[int], Any]:
    monitor = Monitor(NOWHERE.write, embeds_metrics=True, profile_every=every)
    service = LambdaHttp(Models([Model(classifier, monitor=monitor)]), Settings())
    events = [make_event("http_v2", {"text": text}) for text in texts]
    return lambda number: service.answer(events[number % len(events)], CONTEXT)


def write_log(path: Path, classifier: Classifier, own: Sequence[str], news: Sequence[str]) -> None:
    """Write the lines of two processes over two days, the news coming in on the second."""
    rng = random.Random(3)
    begin, period_s = 1_795_000_000.0, 3600.0
    with path.open("w", encoding="utf-8") as file:
        for hour in range(48):
            for _ in range(2):
                share = 0.15 if hour >= 30 else 0.0
                line = replay(classifier, mix(own, news, 250, share, rng))
                line |= {"since": begin + hour * period_s, "until": begin + (hour + 1) * period_s}
                file.write(f"{json.dumps(line, separators=(',', ':'))}\n")


if __name__ == "__main__":
    sys.exit(main())
