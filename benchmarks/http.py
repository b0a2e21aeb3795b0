"""What the HTTP service adds to tokenizer and model, and what a batch saves: ratios of one run.

Every way of asking takes its turn in each round, so that a busy machine disturbs all of them alike.

    bare            tokenizer.encode + session.run on one text, nothing else
    http_v2 ...     the Lambda entry point on that sender's event, answered from the table
    mangum_http_v2  the same event through Mangum and FastAPI
    64 requests     one text each; `batch of 64`: the same texts in one request
    ... mixed       the same with texts cut to any length

Run: python -m benchmarks.http --bundle BUNDLE [--texts reviews.csv.gz]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from handler.http.lambda_http import LambdaHttp
from handler.inference.classifier import Classifier, load_classifier
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.settings import Settings

NUM_WORDS = 230
WORDS = (
    "the film was a slow and quiet one but it had good actors who made me laugh and cry and "
    "i would see it again if only the ending were not so bad and the music so loud"
).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--texts", type=Path, help="a CSV(.gz) with a column text; else made words")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument(
        "--cpu-time", action="store_true", help="this thread's CPU time: for a machine with others"
    )
    options = parser.parse_args()
    classifier = load_classifier(options.bundle)
    texts = read_reviews(options.texts) if options.texts else make_reviews(200)
    clock = time.thread_time if options.cpu_time else time.perf_counter
    results = measure(make_ways(classifier, texts), options.rounds, clock)
    batches = measure(make_batch_ways(classifier, texts), max(10, options.rounds // 30), clock)
    print_report(options, classifier, results, batches)
    return 0


def read_reviews(path: Path) -> list[str]:
    """Return texts of about NUM_WORDS words; exit if there are none."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        rows = [row["text"] for row in csv.DictReader(file)]
    texts = [text for text in rows if abs(len(text.split()) - NUM_WORDS) < 10]
    if not texts:
        sys.exit(f"{path}: none of {len(rows)} texts has about {NUM_WORDS} words")
    return texts[:200]


def make_reviews(num_texts: int) -> list[str]:
    """Return texts of NUM_WORDS words, no two alike."""
    rng = np.random.default_rng(7)
    return [" ".join(rng.choice(WORDS, NUM_WORDS)) for _ in range(num_texts)]


def make_ways(classifier: Classifier, texts: Sequence[str]) -> dict[str, Callable[[int], Any]]:
    """Return name -> a function that answers text number i."""
    lambda_http = make_lambda_http(classifier)
    ways: dict[str, Callable[[int], Any]] = {"bare": make_bare(classifier, texts)}
    for kind in EVENTS:
        events = [make_event(kind, {"text": text}) for text in texts]
        ways[kind] = lambda i, events=events: lambda_http.answer(events[i % len(events)], CONTEXT)
        if kind != "function_url":  # to Mangum the same as http_v2
            ways[f"mangum_{kind}"] = lambda i, events=events: lambda_http.answer_by_app(
                events[i % len(events)], lambda_http.read(events[i % len(events)], CONTEXT), CONTEXT
            )
    return ways


def make_bare(classifier: Classifier, texts: Sequence[str]) -> Callable[[int], Any]:
    tokenizer, session = classifier.tokenizer, classifier.session

    def run(i: int) -> Any:
        return session.run(None, classifier.feed([tokenizer.encode(texts[i % len(texts)]).row]))

    return run


def make_batch_ways(
    classifier: Classifier, texts: Sequence[str]
) -> dict[str, Callable[[int], Any]]:
    """Return name -> a function that has the 64 texts answered."""
    lambda_http = make_lambda_http(classifier)
    alike = [texts[i % len(texts)] for i in range(64)]
    rng = np.random.default_rng(7)
    mixed = [" ".join(text.split()[: rng.integers(1, NUM_WORDS)]) for text in alike]
    ways: dict[str, Callable[[int], Any]] = {}
    for name, chosen in (("", alike), (" mixed", mixed)):
        singles = [make_event("http_v2", {"text": text}) for text in chosen]
        batch = make_event("http_v2", {"texts": chosen})
        ways[f"64 requests{name}"] = lambda i, singles=singles: [
            lambda_http.answer(event, CONTEXT) for event in singles
        ]
        ways[f"batch of 64{name}"] = lambda i, batch=batch: lambda_http.answer(batch, CONTEXT)
    return ways


def make_lambda_http(classifier: Classifier) -> LambdaHttp:
    # Lines are made and written, as in a function; only they do not fill the terminal.
    model = Model(classifier, monitor=Monitor(NOWHERE.write, embeds_metrics=True))
    return LambdaHttp(Models([model]), Settings())


CONTEXT = SimpleNamespace(aws_request_id="11111111-2222-3333-4444-555555555555")
NOWHERE = open(os.devnull, "w")
EVENTS = ("http_v2", "function_url", "rest_v1", "alb")
HEADERS = {
    "host": "abc123.execute-api.eu-west-1.amazonaws.com",
    "content-type": "application/json",
    "user-agent": "python-httpx/0.28",
    "accept": "*/*",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
    "x-amzn-trace-id": "Root=1-6745f0c2-0123456789abcdef01234567",
}


def make_event(kind: str, body: object) -> dict[str, Any]:
    event: dict[str, Any] = {"headers": HEADERS, "body": json.dumps(body)}
    event["isBase64Encoded"] = False
    if kind in ("http_v2", "function_url"):
        http = {"method": "POST", "path": "/predict", "sourceIp": "192.0.2.1"}
        event |= {"version": "2.0", "rawPath": "/predict", "rawQueryString": ""}
        event["requestContext"] = {"http": http, "stage": "$default"}
        return event
    event |= {"httpMethod": "POST", "path": "/predict", "queryStringParameters": None}
    if kind == "alb":
        event["requestContext"] = {"elb": {"targetGroupArn": "arn"}}
        event["queryStringParameters"] = {}
        return event
    event["resource"] = "/{proxy+}"
    event["multiValueHeaders"] = {name: [value] for name, value in HEADERS.items()}
    event["requestContext"] = {"identity": {"sourceIp": "192.0.2.1"}, "stage": "prod"}
    return event


def measure(
    ways: dict[str, Callable[[int], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return name -> milliseconds of each call, in turns, after a tenth of them as warm-up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds + rounds // 10):
        for name, way in ways.items():
            started = clock()
            way(i)
            times[name].append((clock() - started) * 1000)
    return {name: values[rounds // 10 :] for name, values in times.items()}


def print_report(
    options: argparse.Namespace,
    classifier: Classifier,
    results: dict[str, list[float]],
    batches: dict[str, list[float]],
) -> None:
    size = classifier.size_bytes / 1e6
    print(f"{classifier.manifest.name}, {size:.2f} MB, 1 thread, {platform.machine()}")
    print(f"{NUM_WORDS} words, {options.rounds} rounds; milliseconds")
    pairs = list(batches.items())
    for group in (results, dict(pairs[:2]), dict(pairs[2:])):
        base = next(iter(group))
        reference = float(np.median(group[base]))
        print(f"{'':18} {'p50':>8} {'p95':>8}   p50 / {base}")
        for name, values in group.items():
            p50, p95 = np.percentile(values, [50, 95])
            print(f"{name:18} {p50:8.3f} {p95:8.3f}   {p50 / reference:.2f}")


if __name__ == "__main__":
    sys.exit(main())
