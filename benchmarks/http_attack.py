"""What a probe sees of a server under attack: `GET /health` and memory, beside an idle server.

    worst    4 clients send the most costly requests that are legal, one after the other
    idle     2,000 sockets are open and say nothing
    keyless  64 clients without a key send large bodies

A probe is sent every 20 ms on a connection of its own, as a balancer does. Memory is the largest
resident set while it lasts (Linux), beside that of the idle server after its first requests.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import http.client
import json
import multiprocessing
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.helpers.served import Served, serve_bundle

KEY = "the-key-of-the-benchmark"
WORST_CLIENTS = 4
IDLE_SOCKETS = 2000
KEYLESS_CLIENTS = 64
PROBE_PAUSE_S = 0.02
LIMIT_BYTES = 4_400_000


def make_worst_requests() -> list[tuple[bytes, dict[str, str]]]:
    """Return bodies that are answered or refused only after work, each about the dearest of its
    kind: text, tokens, expanding characters, JSON values, an explanation."""
    words = json.dumps({"texts": ["a film so good " * 1250] * 230})
    dense = json.dumps({"texts": ["!?" * 9000] * 240})
    expanding = json.dumps({"texts": ["\ufdfa" * 1111] * 256}, ensure_ascii=False)
    numbers = '{"texts":[' + "1," * 249_000 + "1]}"
    objects = '{"texts":[' + "{}," * 160_000 + "{}]}"
    wide = json.dumps({"texts": ["😡 " + "film " * 3500] * 240}, ensure_ascii=False)
    explain = json.dumps({"text": "so good " * 256, "explain": True})
    plain = [words, dense, expanding, numbers, objects, wide, explain]
    requests = [(body.encode()[:LIMIT_BYTES], {}) for body in plain]
    packed = [(gzip.compress(body.encode(), 9), body) for body in (words, expanding)]
    requests += [(content, {"content-encoding": "gzip"}) for content, _ in packed]
    return requests


def send_for_ever(port: int, requests: list[tuple[bytes, dict[str, str]]], key: str) -> None:
    while True:
        for body, headers in requests:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            sent = {"content-type": "application/json", "x-api-key": key, **headers}
            try:
                connection.request("POST", "/predict", body, sent)
                connection.getresponse().read()
            except OSError:
                pass
            connection.close()


def probe(served: Served, seconds: float) -> tuple[list[float], int, int]:
    """Return (milliseconds of each answered probe, how many failed, largest resident bytes)."""
    latencies, num_failed, memory = [], 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
            connection.request("GET", "/health")
            num_failed += connection.getresponse().status != 200
            connection.close()
        except (OSError, http.client.HTTPException):
            num_failed += 1
        latencies.append((time.perf_counter() - started) * 1000)
        memory = max(memory, served.memory_bytes())
        time.sleep(PROBE_PAUSE_S)
    return latencies, num_failed, memory


def attack(name: str, served: Served, seconds: float) -> tuple[list[float], int, int]:
    """Return what the probes saw while the attack went on."""
    requests = make_worst_requests()
    targets: list[tuple[Callable[..., None], tuple[object, ...]]] = []
    sockets: list[socket.socket] = []
    if name == "worst":
        shares = [requests[index:] + requests[:index] for index in range(WORST_CLIENTS)]
        targets = [(send_for_ever, (served.port, share, KEY)) for share in shares]
    elif name == "keyless":
        body = [(b"a" * LIMIT_BYTES, {})]
        targets = [(send_for_ever, (served.port, body, ""))] * KEYLESS_CLIENTS
    clients = [
        multiprocessing.Process(target=run, args=given, daemon=True) for run, given in targets
    ]
    for client in clients:
        client.start()
    if name == "idle":
        sockets = [socket.socket() for _ in range(IDLE_SOCKETS)]
        for each in sockets:
            each.connect(("127.0.0.1", served.port))
    try:
        return probe(served, seconds)
    finally:
        for client in clients:
            client.terminate()
            client.join()
        for each in sockets:
            each.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("handler/model"))
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE_SOCKETS + 500), hard))
    setting = f"bench:{hashlib.sha256(KEY.encode()).hexdigest()}"
    few_files = ("prlimit", "--nofile=1024:1024")
    print("attack   probes failed  p50 ms  p99 ms     MB  ratio")
    for name in ("none", "worst", "idle", "keyless"):
        with serve_bundle(arguments.bundle, few_files, MINNOW_API_KEYS=setting) as served:
            _, _, idle = probe(served, 2)
            latencies, num_failed, memory = attack(name, served, arguments.seconds)
            p50, p99 = np.percentile(latencies, [50, 99])
            print(
                f"{name:8} {len(latencies):6} {num_failed:6} {p50:7.1f} {p99:7.1f} "
                f"{memory / 1e6:6.1f} {memory / idle:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
