"""What a batch saves, and what an event costs at a cold start: ratios of one run.

    100 messages   SQS events of one message each, every result sent to a queue by itself
    batch of 100   the same messages in one event, the results sent ten a request

Both run by the Lambda entry point, in turns, against a queue of `moto_server` in another process:
wall time holds that server's work, CPU time is the function's alone.

    floor          numpy, onnxruntime, the words in JSON, and a session over the bundle
    entry point    the import of `handler.function`: bundle checked, golden text scored
    first batch    and the first SQS event answered, but for boto3 and its client
    with boto3     and its result sent

Each start is a new process; CPU time, since a busy machine stretches the other.

Run: python -m benchmarks.events [--bundle BUNDLE] [--texts reviews.csv.gz]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cold_start import copy_plain_bundle
from benchmarks.http import make_reviews, read_reviews

NUM_MESSAGES = 100
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "MINNOW_RESULTS": "sqs://results",
}
FLOOR = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import json, numpy, onnxruntime
json.load(open(sys.argv[1] + "/words.json"))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
onnxruntime.InferenceSession(sys.argv[1] + "/model.onnx", options)
"""
ENTRY_POINT = "import json, sys; from handler.function import RESOURCES, handler"
# A sink that takes the results and sends nothing: what is left is all but boto3.
FIRST_BATCH = f"""
{ENTRY_POINT}
from types import SimpleNamespace
sink = SimpleNamespace(send=lambda results, deadline: {{}}, feeds=lambda arn: False)
RESOURCES.__dict__["sink"] = sink
assert handler(json.load(sys.stdin), None) == {{"batchItemFailures": []}}
"""
WITH_BOTO3 = f"""
{ENTRY_POINT}
assert handler(json.load(sys.stdin), None) == {{"batchItemFailures": []}}
"""
STARTS = {
    "floor": FLOOR,
    "entry point": ENTRY_POINT,
    "first batch": FIRST_BATCH,
    "with boto3": WITH_BOTO3,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("handler/model"))
    parser.add_argument("--texts", type=Path, help="a CSV(.gz) with a column text; else made words")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--starts", type=int, default=9)
    options = parser.parse_args()
    texts = (read_reviews(options.texts) if options.texts else make_reviews(NUM_MESSAGES))[
        :NUM_MESSAGES
    ]
    with run_moto() as url:
        os.environ.update(ENVIRONMENT | {"AWS_ENDPOINT_URL": url})
        os.environ["MINNOW_BUNDLE"] = str(options.bundle)
        report_batches(texts, options.rounds)
        with tempfile.TemporaryDirectory() as folder:
            plain = copy_plain_bundle(options.bundle, Path(folder) / "plain")
            report_starts(plain, texts[0], options.starts)
    return 0


@contextmanager
def run_moto() -> Iterator[str]:
    """Yield the URL of a moto server in another process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def report_batches(texts: list[str], rounds: int) -> None:
    import boto3

    from handler.function import MODELS, handler

    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="results")["QueueUrl"]
    records = [make_record(index, text) for index, text in enumerate(texts)]

    def one_by_one() -> None:
        for record in records:
            assert_done(handler({"Records": [record]}, None))

    def as_batch() -> None:
        assert_done(handler({"Records": records}, None))

    ways = {"100 messages": one_by_one, "batch of 100": as_batch}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, way in ways.items():
            sqs.delete_queue(QueueUrl=queue)  # moto's sends grow slower with the queue
            sqs.create_queue(QueueName="results")
            measured = measure(way)
            if round_number:  # the first one opens connections
                seconds[name].append(measured)
    tokens = [len(encoding.ids) for encoding in MODELS.default.classifier.encode_texts(texts)]
    print(f"{len(texts)} reviews of {statistics.mean(tokens):.0f} tokens, {rounds} rounds\n")
    print(f"{'':16}{'records/s':>10}{'p50 s':>8}{'max s':>8}{'CPU p50 s':>11}")
    for name, measured_rounds in seconds.items():
        wall, cpu = zip(*measured_rounds, strict=True)
        p50 = statistics.median(wall)
        print(
            f"{name:16}{len(texts) / p50:10.0f}{p50:8.3f}{max(wall):8.3f}"
            f"{statistics.median(cpu):11.3f}"
        )
    single, batch = seconds.values()
    for number, name in enumerate(("wall", "CPU")):
        ratios = [one[number] / other[number] for one, other in zip(single, batch, strict=True)]
        print(f"times the records/s, {name} time: {statistics.median(ratios):.2f}")


def report_starts(plain: Path, text: str, starts: int) -> None:
    """Print the table of starts; `plain` is the bundle with a `words.json` for the floor."""
    event = json.dumps({"Records": [make_record(0, text)]})
    # Byte code is written at the first start, which is not counted.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    cpu: dict[str, list[float]] = {name: [] for name in STARTS}
    for round_number in range(starts + 1):
        for name, program in STARTS.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-c", program, str(plain)],
                input=event,
                text=True,
                env=environment,
                check=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if round_number:
                cpu[name].append(spent)
    print(f"\n{'':16}{'CPU p50 ms':>11}{'max':>8}{'over floor':>12}    {starts} starts each")
    for name, times in cpu.items():
        ratios = [one / floor for one, floor in zip(times, cpu["floor"], strict=True)]
        print(
            f"{name:16}{statistics.median(times) * 1000:11.0f}{max(times) * 1000:8.0f}"
            f"{statistics.median(ratios):12.2f}"
        )


def make_record(index: int, text: str) -> dict[str, Any]:
    return {
        "messageId": f"message-{index}",
        "receiptHandle": "handle",
        "body": json.dumps({"id": f"review-{index}", "text": text}),
        "attributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:texts",
    }


def assert_done(reply: Any) -> None:
    if reply != {"batchItemFailures": []}:
        raise RuntimeError("not all results were sent")


def measure(way: Callable[[], None]) -> tuple[float, float]:
    """Return wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main())
