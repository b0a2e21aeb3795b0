"""Several processes behind one address: who answers, what a crash costs, and how all end."""

import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from handler.errors import SettingsError
from handler.hosts.cores import count_cores, count_workers
from handler.hosts.server import choose_workers, read_workers
from handler.hosts.shared_counts import SharedCounts, make_regions
from handler.hosts.shared_socket import ABSENT, PATIENCE_S, Loads, Share
from tests.helpers.paths import ROOT
from tests.helpers.raw_http import WAIT_S, connect, read_all, read_statuses
from tests.helpers.served import serve_bundle

BODY = b'{"text":"good film"}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
POST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def served(tiny_bundle):
    with serve_bundle(tiny_bundle, workers=2) as served:
        yield served


def count_requests(served):
    """Return how many requests of each operation and status `/metrics` tells of."""
    text = httpx.get(f"{served.url}/metrics").text
    return {
        (sample.labels["operation"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "minnow_requests_total"
    }


def wait_for(condition):
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)


def used_s(process):
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_all_workers_answer_and_any_of_them_tells_the_counts_of_all(served):
    before = {worker: used_s(worker) for worker in served.workers()}
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)))
            for port in [served.port] * 8
        ]
        for _ in range(200):
            for client in clients:
                client.request("POST", "/predict", BODY, {"content-type": "application/json"})
            statuses = {client.getresponse().read() and 200 for client in clients}

    counts = [count_requests(served)["predict", "200"] for _ in range(8)]

    assert statuses == {200}
    assert counts == [1600] * 8
    assert len(before) == 2
    assert all(used_s(worker) > started + 0.05 for worker, started in before.items())


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(served):
    for _ in range(10):
        httpx.post(f"{served.url}/predict", json={"text": "good"})
    first, second = served.workers()

    os.kill(first, signal.SIGKILL)
    answers = [httpx.get(f"{served.url}/health").status_code for _ in range(20)]
    wait_for(lambda: len(served.workers()) == 2)
    again = [httpx.post(f"{served.url}/predict", json={"text": "good"}) for _ in range(10)]

    assert answers == [200] * 20
    assert second in served.workers()
    assert first not in served.workers()
    assert [answer.status_code for answer in again] == [200] * 10
    assert count_requests(served)["predict", "200"] == 20
    served.end()
    errors = [line for line in served.log if line["level"] == "error"]
    assert [line["message"] for line in errors] == [
        "a worker ended (signal 9); another takes its place"
    ]
    served.log.remove(errors[0])


@pytest.mark.slow
def test_workers_that_are_told_to_end_answer_what_they_have_accepted(served):
    with contextlib.ExitStack() as stack:
        large = json.dumps({"texts": ["good film " * 800] * 100}).encode()
        waiting = [stack.enter_context(connect(served.port)) for _ in range(16)]
        for number, connection in enumerate(waiting):
            body = BODY if number % 4 else large
            connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        unfinished = stack.enter_context(connect(served.port))
        unfinished.sendall(HEAD + b"content-length: 100\r\n\r\n{")
        workers = served.workers()

        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        during = httpx.get(f"{served.url}/v2/health/ready")
        seconds = served.end()
        answers = [read_statuses(read_all(connection)) for connection in waiting]

        assert during.status_code == 503
        assert answers == [[200]] * 16
        assert 408 in read_statuses(read_all(unfinished))
        assert seconds < 8
        assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)


@pytest.mark.slow
def test_under_load_only_what_no_worker_had_accepted_goes_unanswered(served):
    def ask():
        """Ask until the server is gone; return the answers, each on a connection of its own."""
        answers = []
        with contextlib.suppress(OSError):
            while True:
                with socket.create_connection(("127.0.0.1", served.port), timeout=WAIT_S) as one:
                    one.sendall(POST.replace(b"host: a", b"host: a\r\nconnection: close"))
                    answers.append(read_all(one))
        return answers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        time.sleep(1)
        served.end()
        of_all = [each.result(WAIT_S) for each in asking]

    # The last of a client may have waited to be accepted when the port was closed.
    assert all(len(answers) > 20 for answers in of_all)
    assert {read_statuses(answer)[0] for answers in of_all for answer in answers[:-1]} == {200}
    assert {tuple(read_statuses(answers[-1])) for answers in of_all} <= {(200,), ()}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_them_ends_all_of_them(tiny_bundle, number):
    with serve_bundle(tiny_bundle, ("setsid",), workers=2) as served:
        workers = served.workers()
        os.killpg(served.process.pid, number)  # as Ctrl-C in a terminal does
        served.process.wait(timeout=8)

        assert served.process.returncode == (0 if number == signal.SIGINT else -number)
        assert len(workers) == 2
        assert not any(os.path.exists(f"/proc/{worker}") for worker in workers)


STOPPED_AT_START = """
import os, signal, socket, time
from handler.hosts.shared_socket import Loads
from handler.hosts.workers import Workers

def work(index, life, tell):
    if index:
        os.killpg(0, signal.SIGINT)
    time.sleep(10)

try:
    Workers(2, socket.socket(), Loads(2), work, print).run(lambda: print("ready"))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_before_all_of_them_answer_is_no_failure():
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_START],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        start_new_session=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


@pytest.mark.slow
def test_workers_end_when_the_first_process_is_killed(served):
    workers = served.workers()

    served.process.kill()

    wait_for(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))


@pytest.mark.slow
def test_workers_that_cannot_be_started_end_the_start_with_one_line(tiny_bundle):
    fork = "import os; real, calls = os.fork, []\n"
    fork += "def few():\n    calls.append(1)\n    if len(calls) > 2:\n"
    fork += "        raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
    fork += "    return real()\nos.fork = few\nfrom minnow.cli import main\nmain()"

    done = subprocess.run(
        [sys.executable, "-c", fork, "serve", str(tiny_bundle), "--port", "0", "--workers", "3"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("minnow: 3 workers cannot be started (Resource")


@pytest.mark.slow
def test_workers_serve_on_a_port_that_is_found_and_refuse_one_that_is_taken(tiny_bundle, served):
    command = [sys.executable, "-m", "minnow", "serve", str(tiny_bundle), "--workers", "2"]

    refused = subprocess.run(
        [*command, "--port", str(served.port)], capture_output=True, text=True, timeout=WAIT_S
    )
    with subprocess.Popen([*command, "--port", "0"], stdout=-1, stderr=-3, text=True) as found:
        lines = [found.stdout.readline() for _ in range(3)]
        answer = httpx.get(re.search(r"ready at (\S+) ", lines[1])[1] + "/health")
        found.terminate()
        rest = found.stdout.read()

    assert refused.returncode == 1
    assert f"port {served.port} is taken" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert answer.status_code == 200
    assert lines[0].startswith("model ")
    assert rest == ""


@pytest.mark.parametrize("value", ["0", "-1", "257", "x", "1.5", "²", "9" * 50])
def test_a_number_of_workers_that_is_none_is_refused_by_name(value):
    with pytest.raises(SettingsError, match="MINNOW_WORKERS is .*, wanted a whole number from 1"):
        read_workers({"MINNOW_WORKERS": value})


def test_several_workers_exclude_threads_and_a_gpu():
    assert read_workers({}) is None
    assert read_workers({"MINNOW_WORKERS": "2"}) == 2
    assert choose_workers(3, "cpu", 1) == 3
    assert choose_workers(None, "cuda", 1) == choose_workers(None, "cpu", 4) == 1
    with pytest.raises(SettingsError, match="the device is 'cuda'"):
        choose_workers(2, "cuda", 1)
    with pytest.raises(SettingsError, match="MINNOW_THREADS is 4"):
        choose_workers(2, "cpu", 4)


@pytest.mark.parametrize(
    ("files", "cores", "workers"),
    [
        ({}, 8, 8),
        ({"cpu.max": "max 100000"}, 8, 8),
        ({"cpu.max": "250000 100000"}, 2, 2),
        ({"cpu.max": "50000 100000"}, 1, 1),
        ({"cpu.max": "400000 100000", "memory.max": "600000000"}, 4, 2),
        ({"memory.max": "100000000"}, 8, 1),
        ({"memory.max": "max"}, 8, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 8),
        ({"memory/memory.limit_in_bytes": "300000000"}, 8, 1),
    ],
)
def test_there_is_a_worker_for_each_core_as_far_as_memory_goes(
    tmp_path, monkeypatch, files, cores, workers
):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8))
    monkeypatch.setattr("os.sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 2_000_000)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")

    assert count_cores(tmp_path) == cores
    assert count_workers(tmp_path) == workers


def test_counts_are_summed_over_processes_and_outlive_them():
    regions = make_regions(2, {"reviews": ["good", 'böse "x"']})
    first, second = (SharedCounts(regions, index) for index in range(2))

    for counts in (first, second, first):
        counts.add(("requests", "predict", "200"), 1)
    second.add(("labels", "reviews", 'böse "x"'), 2)
    second.add(("seconds", "predict"), 0.25)
    replaced = SharedCounts(regions, 1)
    replaced.add(("seconds", "predict"), 0.5)

    wanted = {
        ("requests", "predict", "200"): 3,
        ("labels", "reviews", 'böse "x"'): 2,
        ("seconds", "predict"): 0.75,
    }
    assert first.read() == replaced.read() == wanted


def test_labels_of_more_models_than_there_is_room_for_are_not_counted():
    regions = make_regions(1, {})
    counts = SharedCounts(regions, 0)

    for number in range(10_000):
        counts.add(("labels", f"model-{number}", "a label of it"), 1)
    counts.add(("labels", "model-0", "a label of it"), 1)

    assert 1000 < len(counts.read()) < 10_000
    assert counts.read()["labels", "model-0", "a label of it"] == 2


def test_profiles_of_many_models_leave_room_for_what_is_counted_of_requests():
    (region,) = make_regions(1, {})
    counts = SharedCounts([region], 0)

    for number in range(10_000):
        counts.add(("seen", f"model-{number}", "1", "label", "positive"), 1)
    for number in range(1_000):
        counts.add(("requests", f"operation-{number}", "200"), 1)

    assert sum(key[0] == "requests" for key in counts.read()) == 1_000


@pytest.mark.slow
def test_no_process_sees_a_number_half_written():
    regions = make_regions(2, {})
    reading = SharedCounts(regions, 0)
    SharedCounts(regions, 1).add(("tokens",), 1)
    writer = os.fork()
    if not writer:
        counts = SharedCounts(regions, 1)
        while True:
            counts.add(("tokens",), 1)
    try:
        seen = [reading.read()["tokens",] for _ in range(100_000)]
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)

    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


def test_counts_of_every_label_have_room():
    labels = [f"{number:05}" + "é" * 251 for number in range(10_000)]
    (region,) = make_regions(1, {"model": labels})
    counts = SharedCounts([region], 0)

    for label in labels:
        counts.add(("labels", "model", label), 1)

    assert sum(counts.read().values()) == 10_000


def test_a_worker_with_more_connections_leaves_the_next_for_a_moment():
    now = [0.0]
    loads = Loads(3)
    share = Share(loads, 0, clock=lambda: now[0])
    loads.set(1, 4)  # the third is not there
    may = []

    for seconds, count in ((0, 6), (PATIENCE_S, 6), (PATIENCE_S, 7), (PATIENCE_S, 5)):
        now[0] = seconds
        share.note(count)
        may.append(share.may_accept())
    share.take()

    assert may == [False, True, False, True]
    assert loads.has_many(0)
    assert not loads.has_many(1)
    loads.set(1, ABSENT)
    assert not loads.has_many(0)


@pytest.mark.slow
def test_connections_are_dealt_out_evenly(served):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            one = stack.enter_context(connect(served.port))
            one.sendall(POST)
            one.recv(65536)
        held = collections.Counter(
            len([name for name in os.listdir(f"/proc/{worker}/fd")]) for worker in served.workers()
        )

    few, many = min(held), max(held)
    assert many - few <= 8
