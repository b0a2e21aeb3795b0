"""A repository of many models in one process: what a cold one costs, memory, promotions.

    cold        the first answer of a model over one that is loaded, from a folder
    threads     threads that ask for models at random: errors, answers by another model, memory
    promotions  requests while versions are promoted and broken ones pushed: failed, mixed, how soon
    before      a start and a warm request of one bundle beside those of another checkout, CPU time

Each model tells a label of its own, so that an answer by another one shows.

Run: python -m benchmarks.models BUNDLE [--models 200] [--seconds 600] [--before OTHER]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handler.hosts.memory import fix_mmap_threshold
from handler.http.messages import Request
from handler.http.service import Service
from handler.inference.models import LIVE, Models
from handler.inference.monitor import Monitor
from handler.repository.aliases import write_alias
from handler.repository.opening import open_models
from handler.repository.places import open_store
from handler.repository.publish import FILES
from handler.repository.store import Store
from handler.settings import read_settings

TEXT = "A clever, moving film about people who say little and mean all of it. " * 16  # 240 words
ROUNDS = 10
REFRESH_S = 1
START = "import handler.function"
WARM = """
import json, time, handler.function as function
body = json.dumps({"text": %r})
event = {"version": "2.0", "routeKey": "$default", "rawPath": "/predict", "rawQueryString": "",
    "headers": {"content-type": "application/json"}, "isBase64Encoded": False, "body": body,
    "requestContext": {"requestId": "1", "stage": "$default", "http": {"method": "POST",
    "path": "/predict", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "a"}}}
function.MONITOR._write = lambda line: None
for _ in range(50):
    function.handler(event, None)
started = time.process_time()
for _ in range(300):
    assert function.handler(event, None)["statusCode"] == 200
print((time.process_time() - started) / 300 * 1000)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--most-mb", type=int, default=1179, help="MINNOW_MODELS_MB")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--promotions", type=int, default=20)
    parser.add_argument("--before", type=Path, metavar="OTHER", help="checkout to compare with")
    options = parser.parse_args()
    fix_mmap_threshold()  # as a server does
    present = [name for name in FILES if (options.bundle / name).exists()]
    files = {name: (options.bundle / name).read_bytes() for name in present}
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "models")
        store = open_store(place)
        names = [f"m{number}" for number in range(options.models)]
        for name in names:
            add_live(store, name, relabel(files, name))
        variables = {"MINNOW_MODELS": place, "MINNOW_MODELS_REFRESH_S": str(REFRESH_S)}
        variables |= {"MINNOW_MODEL": names[0], "MINNOW_MODELS_MB": str(options.most_mb)}
        settings = read_settings(variables)
        print_table("cold", measure_cold(open_models(settings), names))
        gc.collect()
        models = open_models(settings)
        print_table("threads", ask_at_random(models, names, options.threads, options.seconds))
        service = Service(open_models(settings, Monitor()), settings)
        print_table("promotions", promote(service, store, files, options))
    if options.before is not None:
        print_table("before", compare(options.bundle, options.before))


def relabel(files: Mapping[str, bytes], label: str) -> dict[str, bytes]:
    """Return a bundle whose labels begin with `label`."""
    manifest = json.loads(files[FILES[-1]])
    labels = [f"{label}:{name}" for name in manifest["task"]["labels"]]
    manifest["task"] = {"kind": "single-label", "labels": labels}
    return {**files, FILES[-1]: json.dumps(manifest).encode()}


def add_live(store: Store, name: str, files: Mapping[str, bytes]) -> int:
    """Add a version of a model and let `live` mean it; return its number."""
    version = store.add_version(name, files)
    store.change_aliases(name, lambda content: write_alias(content, LIVE, version))
    return version


def say(models: Models, name: str) -> str:
    """Return the label that a model answers, as a request asks for it."""
    model = models.pin(name)
    (prediction,) = model.predict([TEXT])
    label: str = model.shape_prediction(prediction)["label"]
    return label


def measure_cold(models: Models, names: list[str]) -> dict[str, Any]:
    """Return the milliseconds by which a model's first answer takes longer than its second."""
    over: dict[str, list[float]] = {"clock": [], "cpu": []}
    for name in names[1:]:
        times = []
        for _ in ("cold", "warm"):
            started = time.perf_counter(), time.thread_time()
            check_label(say(models, name), name)
            times.append((time.perf_counter() - started[0], time.thread_time() - started[1]))
        for clock, cold, warm in zip(over, *times, strict=True):
            over[clock].append((cold - warm) * 1000)
    return {
        "models": len(names),
        "over_warm_ms_p50": statistics.median(over["clock"]),
        "over_warm_ms_p95": sorted(over["clock"])[int(0.95 * len(names)) - 1],
        "over_warm_cpu_ms_p50": statistics.median(over["cpu"]),
        "resident_mb": resident_mb(),
    }


def check_label(label: str, name: str) -> None:
    """Raise ValueError where a label is not that of the model that was asked."""
    if not label.startswith(f"{name}:"):
        raise ValueError(f"model {name} answered by another model's label")


def ask_at_random(
    models: Models, names: list[str], num_threads: int, seconds: float
) -> dict[str, Any]:
    """Return what became of answers that threads asked for, and memory at tenths of the time."""
    until = time.monotonic() + seconds
    answers, errors, memory = [0] * num_threads, [0], []

    def ask(number: int) -> None:
        order = random.Random(number)
        while time.monotonic() < until:
            name = order.choice(names)
            try:
                check_label(say(models, name), name)
            except Exception as error:
                errors[0] += 1
                print(f"{name}: {error}", file=sys.stderr)
            answers[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(num_threads)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(seconds / 10)
        memory.append(round(resident_mb()))
    for thread in threads:
        thread.join()
    found = {"answers": sum(answers), "errors_or_by_another_model": errors[0]}
    return {**found, "resident_mb_by_tenths": memory}


def promote(
    service: Service, store: Store, files: Mapping[str, bytes], options: Any
) -> dict[str, Any]:
    """Return what became of requests while versions of the default model come and go."""
    answers: list[tuple[float, int, dict[str, Any]]] = []
    is_over = threading.Event()
    body = json.dumps({"text": TEXT}).encode()
    labels = {"1": "m0"}

    def ask() -> None:
        while not is_over.is_set() or len(answers) < options.requests:
            request = Request("POST", "/predict", {"content-type": "application/json"}, body)
            response = service.respond(request)
            answers.append((time.time(), response.status, json.loads(response.body)))
            time.sleep(0.005)  # so that the requests last as long as the promotions

    thread = threading.Thread(target=ask)
    thread.start()
    late = []
    for number in range(options.promotions):
        label = f"v{number}"
        if number % (options.promotions // 5 or 1) == 0:
            first = next(iter(files))
            broken = {**files, first: files[first] + b"x"}
            add_live(store, "m0", broken)
            time.sleep(REFRESH_S)
        version = str(add_live(store, "m0", relabel(files, label)))
        labels[version] = label
        promoted = time.time()
        while answers[-1][2].get("model", {}).get("version") != version:
            time.sleep(0.005)
        late.append(time.time() - promoted)
    is_over.set()
    thread.join()
    wrong = [
        status != 200 or not is_of_one_version(answer, labels) for _, status, answer in answers
    ]
    return {
        "requests": len(answers),
        "promotions": options.promotions,
        "failed_or_mixed": sum(wrong),
        "switched_within_s": max(late),
        "refresh_s": REFRESH_S,
    }


def is_of_one_version(answer: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether an answer's label is that of the version that it names."""
    label = labels[answer["model"]["version"]]
    return all(one["label"].startswith(f"{label}:") for one in answer["predictions"])


def compare(bundle: Path, other: Path) -> dict[str, Any]:
    """Return CPU milliseconds of starts and warm requests, here and in the other, by turns."""
    here = Path(__file__).parents[1]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as compiled:  # byte code of both, as a function has it
        for _ in range(ROUNDS):
            for name, root in (("here", here), ("before", other)):
                start, _ = run(root, bundle, START, compiled)
                found.setdefault(f"start_ms_{name}", []).append(start)
                _, warm = run(root, bundle, WARM % TEXT, compiled)
                found.setdefault(f"warm_ms_{name}", []).append(float(warm))
    return {name: statistics.median(times) for name, times in found.items()}


def run(root: Path, bundle: Path, program: str, compiled: str) -> tuple[float, str]:
    """Return the CPU milliseconds of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "PYTHONPYCACHEPREFIX": compiled,
            "PYTHONDONTWRITEBYTECODE": "",
            "MINNOW_BUNDLE": str(bundle.resolve()),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    passed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return passed * 1000, done.stdout


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def print_table(title: str, found: Mapping[str, Any]) -> None:
    print(title)
    for name, value in found.items():
        print(f"  {name:24} {value:.2f}" if isinstance(value, float) else f"  {name:24} {value}")


if __name__ == "__main__":
    main()
