"""The same model behind `minnow serve` and behind its peers, and other models beside it.

    serve    the bundle behind plain FastAPI (a `def` endpoint), the same in a worker for each core,
             LitServe, BentoML and `minnow serve`, driven by wrk on loopback with 1, 16 and 64
             connections; each posts real reviews, one a request
    models   one text and 64 at a time, one core: Minnow, fastText, TF-IDF + logistic regression in
             a scikit-learn pipeline, and a transformer of DistilBERT's size (random weights, int8)

Contestants take turns in each round, so that a slow minute slows all of them; a ratio is the median
over the rounds. Servers use all cores that this process may use, which wrk shares with them. Memory
is that of a server's processes after the load: resident, and with what they share counted once.

Run: python -m benchmarks.peers DATA [--bundle BUNDLE] [--peers VENV] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.other_models import measure_models
from benchmarks.process_tree import list_processes, read_memory
from training.rows.readers import read_dataset

NUM_WORDS = 230
CONNECTIONS = (1, 16, 64)
START_S = 60.0
SCRIPT = Path(__file__).parent / "baselines" / "peers" / "post.lua"
PEERS = "benchmarks.baselines.peers"
BASE = "FastAPI"
MINNOW = "minnow serve"

Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="labelled reviews")
    parser.add_argument("--bundle", type=Path, default=Path("handler/model"))
    parser.add_argument("--peers", type=Path, help="environment of requirements/peers.txt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load, in each round")
    parser.add_argument("--only", choices=("serve", "models"))
    options = parser.parse_args()
    if options.only != "models" and shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk)", file=sys.stderr)
        return 1
    dataset = read_dataset(options.data)
    texts = choose_texts(dataset.texts)
    print(f"{os.cpu_count()} cores, {len(texts)} texts of about {NUM_WORDS} words")
    if options.only != "models":
        measure_servers(make_commands(options.peers), texts, options)
    if options.only != "serve":
        measure_models(options.bundle, dataset, texts, options.rounds)
    return 0


def choose_texts(texts: Sequence[str], number: int = 200) -> list[str]:
    """Return the texts whose length is nearest to NUM_WORDS words."""
    return sorted(texts, key=lambda text: abs(len(text.split()) - NUM_WORDS))[:number]


def make_commands(peers: Path | None) -> dict[str, list[str]]:
    """Return name -> the command of each server, its port still to come."""
    python = str(peers.absolute() / "bin" / "python") if peers else sys.executable
    cores = str(len(os.sched_getaffinity(0)))
    fastapi = [python, "-m", "uvicorn", f"{PEERS}.fastapi_app:app", "--log-level", "warning"]
    fastapi += ["--no-access-log", "--port", "{port}"]
    commands = {
        BASE: fastapi,
        f"FastAPI, {cores} workers": [*fastapi, "--workers", cores],
        MINNOW: [sys.executable, "-m", "minnow", "serve", "{bundle}", "--port", "{port}"],
    }
    if peers:
        bentoml = [python, "-m", "bentoml", "serve", f"{PEERS}.bentoml_app:Reviews"]
        commands["LitServe"] = [python, "-m", f"{PEERS}.litserve_app", "{port}"]
        commands["BentoML"] = [*bentoml, "--port", "{port}"]
    return commands


def measure_servers(
    commands: Mapping[str, Sequence[str]], texts: Sequence[str], options: argparse.Namespace
) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bodies = folder / "bodies.jsonl"
        bodies.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        servers = {
            name: stack.enter_context(run_server(command, options.bundle, folder / f"{index}.log"))
            for index, (name, command) in enumerate(commands.items())
        }
        for connections in CONNECTIONS:
            rounds: dict[str, list[Figures]] = {name: [] for name in servers}
            for number in range(options.rounds + 1):  # the first warms up
                for name, (_, port) in servers.items():
                    found = load(port, connections, bodies, options.seconds if number else 1)
                    if number:
                        rounds[name].append(found)
            print_servers(connections, rounds, options)
        print(f"\n{'':22}{'processes':>10}{'resident MB':>13}{'shared once':>13}")
        for name, (process, _) in servers.items():
            count, resident, proportional = read_memory(process.pid)
            print(f"{name:22}{count:10}{resident / 1e6:13.0f}{proportional / 1e6:13.0f}")


@contextmanager
def run_server(
    command: Sequence[str], bundle: Path, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield the process of a server and its port, once it answers; its children end with it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    root, bundle = str(Path(__file__).parents[1]), bundle.resolve()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [word.format(port=port, bundle=bundle) for word in command],
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": root, "MINNOW_BUNDLE": str(bundle)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until_answered(process, port, log)
        yield process, port
    finally:
        for each in list_processes(process.pid):  # some are in groups of their own
            with suppress(ProcessLookupError):  # it has ended by itself
                os.kill(each, signal.SIGKILL)
        process.wait()


def wait_until_answered(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    body = b'{"text": "good"}'
    request = b"POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    request += b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(request)
                if connection.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"no answer of a server: {log.read_text()[-2000:]}")


def load(port: int, connections: int, bodies: Path, seconds: int) -> Figures:
    """Return what wrk saw: requests, seconds, p50_ms, p99_ms, failed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{port}", "--", str(bodies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    found["rate"] = found["requests"] / found["seconds"]
    return found


def print_servers(
    connections: int, rounds: Mapping[str, Sequence[Figures]], options: argparse.Namespace
) -> None:
    print(
        f"\n{connections} connections, {options.rounds} rounds of {options.seconds} s\n{'':22}"
        f"{'requests/s':>11}{'times ' + BASE:>15}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}"
    )
    for name, found in rounds.items():
        ratios = [a["rate"] / b["rate"] for a, b in zip(found, rounds[BASE], strict=True)]
        rate, p50, p99 = (
            statistics.median(each[figure] for each in found)
            for figure in ("rate", "p50_ms", "p99_ms")
        )
        failed = sum(each["failed"] for each in found)
        print(
            f"{name:22}{rate:11.0f}{statistics.median(ratios):15.2f}{p50:9.1f}{p99:9.1f}"
            f"{failed:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
