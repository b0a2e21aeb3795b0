"""What a probe sees of a server under attack: `GET /health` and memory, beside an idle server.

    worst    4 clients send the most costly requests that are legal, one after the other
    small    4 clients send the most costly ones of those that are small
    idle     2,000 sockets are open and say nothing
    greedy   600 sockets ask for the largest page 20 times each, and read nothing
    keyless  64 clients without a key send large bodies

A probe is sent every 20 ms on a connection of its own, as a balancer does. Memory is the largest
resident set while it lasts (Linux), beside that of the idle server after its first requests.
"""

from __future__ import annotations

import argparse
import contextlib
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

from handler.http.formats.pages import SCRIPT
from tests.helpers.served import Served, serve_bundle

KEY = "the-key-of-the-benchmark"
WORST_CLIENTS = 4
IDLE_SOCKETS = 2000
GREEDY_SOCKETS = 600
KEYLESS_CLIENTS = 64
PROBE_PAUSE_S = 0.02
LIMIT_BYTES = 4_400_000


Request = tuple[str, str, bytes, dict[str, str]]  # method, path, body, headers
JSON = {"content-type": "application/json"}


def make_small_requests() -> list[Request]:
    """Return what is answered on the event loop, and what should be although it is strange."""
    texts = [["!" * 11] * 256, ["!" * 100] * 31, ["\ufdfa" * 300], ["a" * 100 + "!" * 900] * 3]
    bodies = [json.dumps({"texts": each}, ensure_ascii=False).encode() for each in texts]
    commas = {"accept": "a," * 15_000, "accept-encoding": "," * 15_000}
    return [
        *(("POST", "/predict", body, JSON) for body in bodies),
        ("POST", "/invocations", bodies[1], JSON | commas),
        ("GET", "/" + "%41" * 2600, b"", {}),
        *(("GET", path, b"", commas) for path in ("/", "/docs", SCRIPT, "/openapi.json")),
        ("GET", "/v2/health/ready", b"", {}),
    ]


def make_worst_requests() -> list[Request]:
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
    requests = [("POST", "/predict", body.encode()[:LIMIT_BYTES], JSON) for body in plain]
    for body in (words, expanding):
        packed = gzip.compress(body.encode(), 9)
        requests.append(("POST", "/predict", packed, JSON | {"content-encoding": "gzip"}))
    for kind, line in (
        ("text/csv", b"\n"),
        ("text/csv", b"a\n"),
        ("application/jsonlines", b"1\n"),
    ):
        body = line * (LIMIT_BYTES // len(line))
        requests.append(("POST", "/invocations", body, {"content-type": kind}))
    return requests


def send_for_ever(port: int, requests: list[Request], key: str) -> None:
    while True:
        for method, path, body, headers in requests:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            try:
                connection.request(method, path, body, {"x-api-key": key, **headers})
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
    targets: list[tuple[Callable[..., None], tuple[object, ...]]] = []
    sockets: list[socket.socket] = []
    if name in ("worst", "small"):
        requests = make_worst_requests() if name == "worst" else make_small_requests()
        shares = [requests[index:] + requests[:index] for index in range(WORST_CLIENTS)]
        targets = [(send_for_ever, (served.port, share, KEY)) for share in shares]
    elif name == "keyless":
        body = [("POST", "/predict", b"a" * LIMIT_BYTES, JSON)]
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
    if name == "greedy":
        sockets = [socket.socket() for _ in range(GREEDY_SOCKETS)]
        request = f"GET {SCRIPT} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.connect(("127.0.0.1", served.port))
            with contextlib.suppress(ConnectionError):
                each.sendall(request * 20)
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
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE_SOCKETS + 500), hard))
    setting = f"bench:{hashlib.sha256(KEY.encode()).hexdigest()}"
    few_files = ("prlimit", "--nofile=1024:1024")
    print("attack   probes failed  p50 ms  p99 ms     MB  ratio")
    for name in ("none", "worst", "small", "idle", "greedy", "keyless"):
        with serve_bundle(
            arguments.bundle, few_files, arguments.workers, MINNOW_API_KEYS=setting
        ) as served:
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
