"""Cold start, warm invoke and memory of the built function, against two baselines, in one run.

Each start is a fresh container of the Lambda base image: the Runtime Interface Emulator starts the
function at the first invocation, so the first reply holds the cold start and not the container's
own. Read-only file system, MEMORY MB and MEMORY / 1769 vCPU as on Lambda. The contestants alternate
within each round, so that a busy machine is busy for all of them; beside the times on the clock
stands the CPU time of the function's process, which other work hardly changes. Results of queued
texts go to a queue of moto's server, which listens on the container network's address.

Run: make bench-cold            (a Docker engine; BUNDLE=folder, STARTS=7)
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import ipaddress
import json
import logging
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

from moto.server import ThreadedMotoServer

from handler.inference.bundle import read_bundle
from handler.package import RUNTIME
from tests.helpers.http_events import make_event as make_http_event

ROOT = Path(__file__).parents[1]
VERSION = RUNTIME.removeprefix("python")
IMAGE = f"public.ecr.aws/lambda/python:{VERSION}"
MB_PER_VCPU = 1769
WARM_INVOKES = 10
TEXT = (
    "This film surprised me. The first half is slow, and for a while I thought that it would go "
    "nowhere, but the actors carry it, the photography is beautiful, and the ending, which I will "
    "not give away, is one of the best that I have seen in years. "
) * 5  # 240 words
NUM_MESSAGES = 10  # Lambda's own default for a batch
QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:texts"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "MINNOW_RESULTS": "sqs://results",
}


@dataclass(frozen=True)
class Case:
    """A function and the first event that it gets."""

    contestant: str
    event: str


CASES = (
    Case("floor", "predict"),
    Case("minnow", "predict"),
    Case("eager", "predict"),
    Case("floor", "sqs"),
    Case("minnow", "sqs"),
    Case("minnow", "docs"),
    Case("eager", "docs"),
    Case("minnow", "oip"),
    Case("minnow", "openapi"),
    Case("eager", "openapi"),
)
HANDLERS = {"minnow": "handler.function.handler", "floor": "app.handler", "eager": "app.handler"}
# The eager function speaks no Open Inference Protocol: its own predict stands beside that.
COMPARED = {"oip": "predict"}


def make_event(name: str, model: str) -> dict[str, Any]:
    """Return the event `predict`, `oip`, `docs`, `openapi` or `sqs`, as AWS sends it."""
    if name == "predict":
        return make_http_event("http_v2", "POST", "/predict", {"text": TEXT})
    if name == "oip":
        inputs = [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]
        return make_http_event("http_v2", "POST", f"/v2/models/{model}/infer", {"inputs": inputs})
    if name == "sqs":
        message = {
            "eventSource": "aws:sqs",
            "eventSourceARN": QUEUE_ARN,
            "body": json.dumps({"text": TEXT}),
        }
        return {"Records": [{**message, "messageId": str(i)} for i in range(NUM_MESSAGES)]}
    return make_http_event("http_v2", "GET", {"docs": "/docs", "openapi": "/openapi.json"}[name])


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
    model = json.loads((options.bundle / "manifest.json").read_text())["name"]
    with serve_aws() as endpoint:
        rows = list(measure(cases, folders, options.memory, options.starts, model, endpoint))
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
    built = out / "built"
    subprocess.run(
        [*make, "build-MinnowFunction", f"ARTIFACTS_DIR={built}", f"BUNDLE={bundle}"], check=True
    )
    # The floor stands on the same trimmed packages; only its own file is compiled again. Both are
    # copies: how a library was written decides how much of it a page fault maps, 15 MB here.
    shutil.copytree(built, folders["minnow"])
    shutil.copytree(built, folders["floor"], ignore=shutil.ignore_patterns("handler"))
    shutil.rmtree(built)
    # The eager one is what pip unpacks: everything, and no byte code.
    install = ["uv", "pip", "install", "-q", "--python-version", VERSION, "--python-platform"]
    install += ["x86_64-manylinux_2_28", "--only-binary", ":all:", "--link-mode", "copy"]
    install += ["--target", str(folders["eager"]), "-r", str(ROOT / "handler/requirements.txt")]
    subprocess.run(install, check=True)
    for name in ("floor", "eager"):
        shutil.copy(ROOT / "benchmarks/baselines" / name / "app.py", folders[name])
        copy_plain_bundle(bundle, folders[name] / "model")
    for cache in folders["eager"].rglob("__pycache__"):
        shutil.rmtree(cache)
    done = subprocess.run([*make, "runtime-python"], check=True, capture_output=True, text=True)
    compile_floor = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([done.stdout.strip(), *compile_floor, folders["floor"] / "app.py"], check=True)
    return folders


def copy_plain_bundle(bundle: Path, out: Path) -> Path:
    """Copy the bundle, with the words in JSON, which everybody else's function would load."""
    shutil.copytree(bundle, out)
    word_ids = read_bundle(bundle).tokenizer.word_ids
    (out / "words.json").write_text(json.dumps(word_ids, ensure_ascii=False), "utf-8")
    return out


@contextlib.contextmanager
def serve_aws() -> Iterator[str]:
    """Run moto's server with an empty queue `results`; yield its URL, as containers reach it."""
    import boto3

    subnet = docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}")
    gateway = str(ipaddress.ip_network(subnet.strip())[1])  # the host, as Docker numbers it
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer(ip_address=gateway, port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client(
            "sqs",
            endpoint_url=endpoint,
            region_name=ENVIRONMENT["AWS_REGION"],
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        client.create_queue(QueueName="results")
        yield endpoint
    finally:
        server.stop()


def measure(
    cases: Sequence[Case],
    folders: dict[str, Path],
    memories: Sequence[int],
    starts: int,
    model: str,
    endpoint: str,
) -> Iterator[dict[str, Any]]:
    """Yield one row per start."""
    for memory in memories:
        for start in range(starts):
            for case in cases:
                event = json.dumps(make_event(case.event, model)).encode()
                row = measure_start(case, event, folders[case.contestant], memory, endpoint)
                yield {"memory_mb": memory, "start": start, **vars(case), **row}
                print(f"{memory} MB, start {start + 1} of {starts}, {case}", file=sys.stderr)


def measure_start(
    case: Case, event: bytes, folder: Path, memory: int, endpoint: str
) -> dict[str, float]:
    """Return what one fresh container takes: on the clock, in CPU time, and in memory."""
    with run_container(folder, HANDLERS[case.contestant], memory, endpoint) as (name, port):
        first_ms = invoke(port, event, case)
        first_cpu_ms, _ = read_process(name)
        for _ in range(WARM_INVOKES):
            invoke(port, event, case)
        cpu_ms, peak_mb = read_process(name)
        return {
            "first_ms": first_ms,
            "first_cpu_ms": first_cpu_ms,
            "warm_ms": statistics.median(read_durations_ms(name)[1:]),
            "warm_cpu_ms": (cpu_ms - first_cpu_ms) / WARM_INVOKES,
            "peak_mb": peak_mb,
        }


@contextlib.contextmanager
def run_container(
    folder: Path, handler: str, memory: int, endpoint: str
) -> Iterator[tuple[str, int]]:
    """Run the function; yield the container's name and the emulator's port on loopback."""
    name = f"minnow-bench-{os.getpid()}"
    command = ["docker", "run", "--detach", "--name", name, "--read-only"]
    command += ["--tmpfs", "/tmp:size=512m"]
    command += ["--memory", f"{memory}m", "--memory-swap", f"{memory}m"]
    command += ["--cpus", f"{memory / MB_PER_VCPU:.3f}", "--publish", "127.0.0.1::8080"]
    variables = {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint}
    for key, value in {**variables, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory}.items():
        command += ["--env", f"{key}={value}"]
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
    if reply.get("statusCode") != 200 and reply != {"batchItemFailures": []}:
        raise RuntimeError(f"{case} answered {json.dumps(reply)[:500]}")
    return elapsed_ms


def read_durations_ms(name: str) -> list[float]:
    """Return the emulator's own times of the invocations: without the network's share."""
    logs = subprocess.run(["docker", "logs", name], check=True, capture_output=True, text=True)
    found = re.findall(r"INVOKE RTDONE\(.*?duration: ([0-9.]+)ms\)", logs.stderr + logs.stdout)
    return [float(duration) for duration in found]


def read_process(name: str) -> tuple[float, float]:
    """Return the CPU time so far (ms) and the peak of resident memory (MB) of the runtime."""
    code = """if True:
        import glob, re
        for folder in glob.glob("/proc/[0-9]*"):
            if b"awslambdaric" in open(folder + "/cmdline", "rb").read().split(b"\\0"):
                times = [open(f).read().split()[0] for f in glob.glob(folder + "/task/*/schedstat")]
                peak = re.search(r"VmHWM:\\s+(\\d+)", open(folder + "/status").read())
                print(sum(map(int, times)) / 1e6, int(peak[1]) / 1024)
    """
    cpu_ms, peak_mb = docker("exec", name, "/var/lang/bin/python3", "-c", code).split()
    return float(cpu_ms), float(peak_mb)


def describe(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table: medians; the ratios to the floor and the eager function by clock / CPU."""
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["memory_mb"], row["event"], row["contestant"]].append(row)

    def median(key: tuple[int, str, str], name: str) -> float:
        return statistics.median(row[name] for row in groups[key])

    def ratio(key: tuple[int, str, str], to: tuple[int, str, str], name: str) -> str:
        """By the clock / by CPU time."""
        pairs = [(median(key, n), median(to, n)) for n in (f"{name}_ms", f"{name}_cpu_ms")]
        return " / ".join(f"{a / b:5.2f}" for a, b in pairs)

    lines = [
        f"{'MB':>5} {'event':8} {'function':8} {'starts':>6} {'first ms':>9} {'CPU ms':>7}"
        f" {'x floor':>13} {'eager is x':>13} {'warm ms':>8} {'CPU ms':>7} {'eager is x':>13}"
        f" {'peak MB':>8}"
    ]
    for key, group in groups.items():
        memory, event, contestant = key
        floor, eager = ((memory, COMPARED.get(event, event), who) for who in ("floor", "eager"))
        ratios = [
            ratio(key, floor, "first") if floor in groups else "",
            ratio(eager, key, "first") if eager in groups else "",
            ratio(eager, key, "warm") if eager in groups else "",
        ]
        lines.append(
            f"{memory:5} {event:8} {contestant:8} {len(group):6} {median(key, 'first_ms'):9.0f}"
            f" {median(key, 'first_cpu_ms'):7.0f} {ratios[0]:>13} {ratios[1]:>13}"
            f" {median(key, 'warm_ms'):8.2f} {median(key, 'warm_cpu_ms'):7.2f} {ratios[2]:>13}"
            f" {median(key, 'peak_mb'):8.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
