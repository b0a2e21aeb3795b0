"""Cold start, warm invoke and memory of the built function, against two baselines, in one run.

Each start is a fresh container of the Lambda base image: the Runtime Interface Emulator starts the
function at the first invocation, so the first reply holds the cold start and not the container's
own. Read-only file system, no network out, MEMORY MB and MEMORY / 1769 vCPU as on Lambda. The
contestants alternate within each round, so that a busy machine is busy for all of them.

Run: make bench-cold            (a Docker engine; BUNDLE=folder, STARTS=7)
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.bundle import unpack_tokenizer

ROOT = Path(__file__).parents[1]
IMAGE = "public.ecr.aws/lambda/python:3.12"
MB_PER_VCPU = 1769
WARM_INVOKES = 20
TEXT = (
    "This film surprised me. The first half is slow, and for a while I thought that it would go "
    "nowhere, but the actors carry it, the photography is beautiful, and the ending, which I will "
    "not give away, is one of the best that I have seen in years. "
) * 5  # 240 words
TOPIC = "arn:aws:sns:eu-central-1:123456789012:texts"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"


@dataclass(frozen=True)
class Case:
    """A function and the first event that it gets."""

    contestant: str
    event: str


CASES = (
    Case("floor", "predict"),
    Case("minnow", "predict"),
    Case("eager", "predict"),
    Case("floor", "sns"),
    Case("minnow", "sns"),
    Case("minnow", "openapi"),
    Case("eager", "openapi"),
)
HANDLERS = {"minnow": "handler.function.handler", "floor": "app.handler", "eager": "app.handler"}


def make_event(name: str) -> dict[str, Any]:
    """Return the event `predict`, `openapi` or `sns`, in AWS's shape.

    SNS stands for the events: its result is the reply; SQS needs a queue or bucket for it.
    """
    if name == "sns":
        message = {"MessageId": "1", "TopicArn": TOPIC, "Message": json.dumps({"text": TEXT})}
        return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": message}]}
    method, path = {"predict": ("POST", "/predict"), "openapi": ("GET", "/openapi.json")}[name]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "localhost"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "localhost",
            "requestId": "1",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 0,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "benchmark",
            },
        },
        "body": json.dumps({"text": TEXT}) if method == "POST" else None,
        "isBase64Encoded": False,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "handler" / "model")
    parser.add_argument("--memory", type=int, nargs="+", default=[512, 1024, 1769, 3008])
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--cases", nargs="+", default=None, metavar="CONTESTANT:EVENT")
    parser.add_argument("--json", type=Path, help="write every measurement here")
    options = parser.parse_args()
    cases = [Case(*case.split(":")) for case in options.cases or ()] or list(CASES)
    folders = build_contestants(ROOT / "build" / "bench", options.bundle.resolve())
    rows = list(measure(cases, folders, options.memory, options.starts))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(describe(rows))
    return 0


def build_contestants(out: Path, bundle: Path) -> dict[str, Path]:
    """Build the three functions; all serve the same bundle."""
    folders = {name: out / name for name in HANDLERS}
    shutil.rmtree(out, ignore_errors=True)
    make = ("make", "-s", "-C", str(ROOT / "handler"))
    subprocess.run(
        [*make, "build-MinnowFunction", f"ARTIFACTS_DIR={folders['minnow']}", f"BUNDLE={bundle}"],
        check=True,
    )
    # The floor stands on the same trimmed packages; only its own file is compiled again.
    shutil.copytree(folders["minnow"], folders["floor"], ignore=shutil.ignore_patterns("handler"))
    # The eager one is what pip unpacks: everything, and no byte code.
    install = ["uv", "pip", "install", "-q", "--python-version", "3.12", "--python-platform"]
    install += ["x86_64-manylinux_2_28", "--only-binary", ":all:", "--link-mode", "copy"]
    install += ["--target", str(folders["eager"]), "-r", str(ROOT / "handler/requirements.txt")]
    subprocess.run(install, check=True)
    for name in ("floor", "eager"):
        shutil.copy(ROOT / "benchmarks/baselines" / name / "app.py", folders[name])
        shutil.copytree(bundle, folders[name] / "model")
        write_plain_tokenizer(folders[name] / "model")
    for cache in folders["eager"].rglob("__pycache__"):
        shutil.rmtree(cache)
    done = subprocess.run([*make, "runtime-python"], check=True, capture_output=True, text=True)
    compile_floor = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([done.stdout.strip(), *compile_floor, folders["floor"] / "app.py"], check=True)
    return folders


def write_plain_tokenizer(bundle: Path) -> None:
    """Write the `tokenizer.json` that everybody else's function would load."""
    document, vocab = unpack_tokenizer((bundle / "tokenizer.json.gz").read_bytes())
    document["model"]["vocab"] = vocab
    (bundle / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def measure(
    cases: Sequence[Case], folders: dict[str, Path], memories: Sequence[int], starts: int
) -> Iterator[dict[str, Any]]:
    """Yield one row per start."""
    for memory in memories:
        for start in range(starts):
            for case in cases:
                row = measure_start(case, folders[case.contestant], memory)
                yield {"memory_mb": memory, "start": start, **vars(case), **row}
                print(f"{memory} MB, start {start + 1} of {starts}, {case}", file=sys.stderr)


def measure_start(case: Case, folder: Path, memory: int) -> dict[str, float]:
    """Return first reply (ms), warm p50 (ms) and peak memory (MB) of one fresh container."""
    event = json.dumps(make_event(case.event)).encode()
    with run_container(folder, HANDLERS[case.contestant], memory) as (name, port):
        first_ms = invoke(port, event, case)
        for _ in range(WARM_INVOKES):
            invoke(port, event, case)
        return {
            "first_ms": first_ms,
            "warm_ms": statistics.median(read_durations_ms(name)[1:]),
            "peak_mb": read_peak_mb(name),
        }


@contextlib.contextmanager
def run_container(folder: Path, handler: str, memory: int) -> Iterator[tuple[str, int]]:
    """Run the function; yield the container's name and the emulator's port on loopback."""
    name = f"minnow-bench-{os.getpid()}"
    command = ["docker", "run", "--detach", "--name", name, "--read-only"]
    command += [
        "--tmpfs",
        "/tmp:size=512m",
        "--memory",
        f"{memory}m",
        "--memory-swap",
        f"{memory}m",
    ]
    command += ["--cpus", f"{memory / MB_PER_VCPU:.3f}", "--publish", "127.0.0.1::8080"]
    command += ["--env", f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE={memory}"]
    command += ["--volume", f"{folder}:/var/task:ro", IMAGE, handler]
    subprocess.run(command, check=True, capture_output=True)
    try:
        # A connection is no sign: the proxy takes it before the emulator listens. A GET that is
        # answered (404) is one, and does not start the function.
        port = int(docker("port", name, "8080/tcp").splitlines()[0].rsplit(":", 1)[1])
        for _ in range(500):
            with contextlib.suppress(OSError, http.client.HTTPException):
                request(port, "GET", "/", b"")
                break
            time.sleep(0.02)
        yield name, port
    finally:
        docker("rm", "--force", "--volumes", name)


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def request(port: int, method: str, path: str, body: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        return connection.getresponse().read()


def invoke(port: int, event: bytes, case: Case) -> float:
    """Return the milliseconds of one invocation; raise RuntimeError if the reply is no success."""
    began = time.perf_counter()
    reply = json.loads(request(port, "POST", INVOKE_PATH, event))
    elapsed_ms = (time.perf_counter() - began) * 1000
    if reply.get("statusCode") != 200 and "results" not in reply:
        raise RuntimeError(f"{case} answered {json.dumps(reply)[:500]}")
    return elapsed_ms


def read_durations_ms(name: str) -> list[float]:
    """Return the emulator's own times of the invocations: without the network's share."""
    logs = subprocess.run(["docker", "logs", name], check=True, capture_output=True, text=True)
    found = re.findall(r"INVOKE RTDONE\(.*?duration: ([0-9.]+)ms\)", logs.stderr + logs.stdout)
    return [float(duration) for duration in found]


def read_peak_mb(name: str) -> float:
    """Return the largest peak of resident memory of any process in the container."""
    code = (
        "import glob,re;print(max(int(re.search(r'VmHWM:\\s+(\\d+)',open(f).read())[1])"
        " for f in glob.glob('/proc/[0-9]*/status') if 'awslambdaric' in"
        " open(f.replace('status','cmdline')).read()))"
    )
    return int(docker("exec", name, "/var/lang/bin/python3", "-c", code)) / 1024


def describe(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table: medians, and the ratios to the floor and to the eager function."""
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["memory_mb"], row["event"], row["contestant"]].append(row)
    lines = [
        f"{'MB':>5} {'event':8} {'function':8} {'starts':>6} {'first ms':>9} {'worst':>7}"
        f" {'x floor':>8} {'eager/x':>8} {'warm ms':>8} {'peak MB':>8}"
    ]
    for (memory, event, contestant), group in groups.items():
        first = statistics.median(row["first_ms"] for row in group)
        ratios = []
        for other in ("floor", "eager"):
            of_other = groups.get((memory, event, other))
            base = statistics.median(row["first_ms"] for row in of_other) if of_other else None
            ratio = first / base if base else None
            ratio = 1 / ratio if ratio and other == "eager" else ratio
            ratios.append(f"{ratio:8.2f}" if ratio else " " * 8)
        lines.append(
            f"{memory:5} {event:8} {contestant:8} {len(group):6} {first:9.0f}"
            f" {max(row['first_ms'] for row in group):7.0f} {ratios[0]} {ratios[1]}"
            f" {statistics.median(row['warm_ms'] for row in group):8.2f}"
            f" {statistics.median(row['peak_mb'] for row in group):8.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
