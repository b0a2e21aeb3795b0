"""`minnow score` and `minnow poll` killed at random moments, two at once, and disks that fill.

The counts here are small; `make test-kills` runs 200 kills.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.hosts.bulk import score_files
from tests.helpers.kills import IS_LONG, kill, moments, run, start

pytestmark = pytest.mark.slow
NUM_KILLS = 30 if IS_LONG else 3  # of each test
NUM_ROWS = 40_000
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40,000 rows, 20 MB, three parts of an upload; every fiftieth is rejected."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "pad"])
        for number in range(NUM_ROWS):
            text = "good " * (number % 9) if number % 50 else "long " * 4001
            writer.writerow([number, text, "x" * 400])
    return path


@pytest.fixture(scope="module")
def whole(source: Path, tiny_bundle: Path) -> tuple[bytes, bytes]:
    """What a run that nobody disturbs makes of `source`, and its rejected rows."""
    out = source.with_name("whole.csv")
    score_files(tiny_bundle, [str(source)], str(out))
    return out.read_bytes(), Path(f"{out}.rejected").read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "minnow"


def read_result(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), Path(f"{out}.rejected").read_bytes()


def assert_alone(out: Path) -> None:
    """Check that nothing else is left in the folder of the output."""
    assert sorted(os.listdir(out.parent)) == [out.name, f"{out.name}.rejected"]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_scoring_ends_with_the_same_bytes(
    workers: int, source: Path, whole: tuple[bytes, bytes], tiny_bundle: Path, tmp_path: Path
) -> None:
    killed = 0
    for number, after_s in moments(2.0):
        if killed == NUM_KILLS:
            break
        out = tmp_path / str(number // 3) / "out.csv"  # up to three kills for one output
        if out.exists():
            continue
        command = ("score", tiny_bundle, source, "--out", out, "--workers", workers)
        killed += kill(start(*command), after_s)
        assert not out.exists() or read_result(out) == whole

    outs = [folder / "out.csv" for folder in tmp_path.iterdir()]
    for out in outs:
        code, errors = run("score", tiny_bundle, source, "--out", out)
        assert code == 0 or "exists already" in errors
        assert read_result(out) == whole
        assert_alone(out)
    print(f"{killed} kills, {len(outs)} outputs")


def test_two_at_once_make_one_output_of_one_input(
    source: Path, whole: tuple[bytes, bytes], tiny_bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(source.read_text().replace("good", "bad"))
    score_files(tiny_bundle, [str(other)], str(tmp_path / "whole" / "out.csv"))
    results = {source: whole, other: read_result(tmp_path / "whole" / "out.csv")}

    for number in range(20 if IS_LONG else 3):
        out = tmp_path / str(number) / "out.csv"
        pair = {
            name: start("score", tiny_bundle, name, "--out", out, *["--force"][: number % 2])
            for name in results
        }
        ends = {
            name: (*process.communicate(), process.returncode) for name, process in pair.items()
        }

        done = [name for name, end in ends.items() if end[2] == 0]
        refused = [end[1] for end in ends.values() if end[2] == 1]
        assert len(done) + len(refused) == 2
        assert all(
            f"minnow: {out}: " in error and ("is at work on it" in error or "exists" in error)
            for error in refused
        )
        assert read_result(out) in [results[name] for name in done]
        assert_alone(out)


def test_the_second_is_refused_by_the_first_ones_number(
    source: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    command = ("score", tiny_bundle, source, "--out", out)
    first = start(*command)
    wait_for(lambda: (tmp_path / "out.csv.partial").exists())

    code, errors = run(*command, "--force")

    assert code == 1
    who = errors.removeprefix(f"minnow: {out}: ").split(" is at work")[0]
    assert who in (f"process {first.pid}", "another process")  # as far as the system tells
    assert errors.endswith(" is at work on it. Wait for its end, stop it, or name another output\n")
    assert first.communicate()[0].startswith(str(out))


def test_the_workers_end_with_the_process_that_asks_them(
    source: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    scoring = start("score", tiny_bundle, source, "--out", tmp_path / "out.csv", "--workers", 2)
    wait_for(lambda: len(find_workers(scoring.pid)) == 2)
    workers = find_workers(scoring.pid)

    kill(scoring, 0)

    wait_for(lambda: not any(is_running(worker) for worker in workers))


def test_a_killed_worker_is_one_line_and_the_work_is_gone_on_from(
    source: Path, whole: tuple[bytes, bytes], tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "out.csv"
    command = ("score", tiny_bundle, source, "--out", out, "--workers", 2, "--quiet")
    scoring = start(*command)
    wait_for(lambda: len(find_workers(scoring.pid)) == 2)

    os.kill(find_workers(scoring.pid)[0], signal.SIGKILL)

    assert scoring.communicate()[1].startswith("minnow: a process that classifies has ended of")
    assert scoring.returncode == 1
    assert run(*command) == (0, "")
    assert read_result(out) == whole
    assert_alone(out)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_the_work_in_one_line(
    workers: int, number: int, code: int, source: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "out.csv"
    command = ("score", tiny_bundle, source, "--out", out, "--workers", workers, "--quiet")
    scoring = start(*command)
    wait_for(lambda: (out.parent / "out.csv.partial" / "state.json").exists())

    os.killpg(scoring.pid, number)  # as a terminal and as a supervisor do

    assert scoring.communicate() == ("", "minnow: interrupted\n")
    assert scoring.returncode == code
    assert run(*command) == (0, "")
    assert_alone(out)


@pytest.mark.parametrize("limit_bytes", [1, 100_000, 600_000])
def test_a_disk_that_fills_is_one_line_and_the_work_goes_on_after_room_is_made(
    limit_bytes: int,
    source: Path,
    whole: tuple[bytes, bytes],
    tiny_bundle: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out" / "out.csv"
    command = ("score", tiny_bundle, source, "--out", out, "--quiet")

    code, errors = run(*command, limit_bytes=limit_bytes)

    assert (code, errors.count("\n")) == (1, 1)
    assert errors.startswith(f"minnow: {out}")
    assert not out.exists()
    assert run(*command) == (0, "")
    assert read_result(out) == whole
    assert_alone(out)


@pytest.mark.parametrize("planted", ["link", "file", "others' folder", "open folder"])
def test_what_was_planted_for_the_work_is_refused_and_not_written_through(
    planted: str, source: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    victim, work = tmp_path / "victim", tmp_path / "out.csv.partial"
    victim.mkdir()
    (victim / "rows").write_text("mine")
    if planted == "link":
        work.symlink_to(victim)
    elif planted == "file":
        work.write_text("mine")
    else:
        work.mkdir()
        (work / "rows").symlink_to(victim / "rows")
        work.chmod(0o777)

    code, errors = run("score", tiny_bundle, source, "--out", tmp_path / "out.csv", "--force")

    assert (code, errors.count("\n")) == (1, 1)
    assert f"{work}: " in errors
    assert "Remove it, or name another output" in errors
    assert (victim / "rows").read_text() == "mine"
    assert os.listdir(victim) == ["rows"]


def test_a_state_cut_short_is_said_and_all_is_scored_anew(
    source: Path, whole: tuple[bytes, bytes], tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "out.csv"
    state = out.parent / "out.csv.partial" / "state.json"
    command = ("score", tiny_bundle, source, "--out", out)
    scoring = start(*command)
    wait_for(state.exists)
    kill(scoring, 0)
    state.write_bytes(state.read_bytes()[:40])

    code, errors = run(*command)

    assert code == 0
    assert f"{state.parent}: of no use, all is scored anew" in errors
    assert read_result(out) == whole
    assert_alone(out)


@pytest.mark.usefixtures("cache")
def test_killed_uploads_end_with_the_same_bytes_and_leave_no_parts(
    s3: Any, source: Path, whole: tuple[bytes, bytes], tiny_bundle: Path, cache: Path
) -> None:
    killed = 0
    keys = set()
    for number, after_s in moments(3.0):
        if killed == NUM_KILLS:
            break
        key = f"{number // 4}.csv"
        command = ("score", tiny_bundle, source, "--out", f"s3://results/{key}")
        killed += kill(start(*command), after_s)
        keys.add(key)

    for key in keys:
        assert run("score", tiny_bundle, source, "--out", f"s3://results/{key}", "--quiet")[0] == 0
        assert read_object(s3, key) == whole[0]
        assert read_object(s3, f"{key}.rejected") == whole[1]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="results")
    assert os.listdir(cache) == []
    print(f"{killed} kills, {len(keys)} objects")


@pytest.mark.usefixtures("cache")
def test_two_at_once_make_one_object_of_one_input(
    s3: Any, source: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(source.read_text().replace("good", "bad"))
    results = {}
    for name in (source, other):
        out = tmp_path / "whole" / name.name
        score_files(tiny_bundle, [str(name)], str(out))
        results[name] = read_result(out)

    pair = {
        name: start("score", tiny_bundle, name, "--out", "s3://results/out.csv") for name in results
    }
    ends = {name: (*process.communicate(), process.returncode) for name, process in pair.items()}

    done = [name for name, end in ends.items() if end[2] == 0]
    assert all("is at work on it" in end[1] for end in ends.values() if end[2])
    found = (read_object(s3, "out.csv"), read_object(s3, "out.csv.rejected"))
    assert found in [results[name] for name in done]


def test_polling_that_is_killed_answers_every_message(
    s3: Any, aws: Client, tiny_bundle: Path
) -> None:
    sqs = aws("sqs")
    attributes = {"VisibilityTimeout": "2"}
    queue = sqs.create_queue(QueueName="texts", Attributes=attributes)["QueueUrl"]
    command = ("poll", "--queue", queue, "--bundle", tiny_bundle, "--batch-size", 5)
    environment = {"MINNOW_RESULTS": "s3://results/r/"}
    killed, sent = 0, 0
    for number, after_s in moments(4.0):
        if killed >= 2 * NUM_KILLS:
            break
        send(sqs, queue, range(number * 10, number * 10 + 10))
        sent += 10
        pair = [start(*command, **environment) for _ in range(2)]
        killed += sum(kill(process, after_s / 2) for process in pair)

    ends = [start(*command, "--until-empty", **environment) for _ in range(2)]
    for process in ends:
        process.communicate(timeout=300)
        assert process.returncode == 0

    found = [json.loads(content) for content in read_objects(s3, "r/")]
    assert sorted(int(result["id"]) for result in found) == list(range(sent))
    print(f"{killed} kills, {len(found)} messages")


def send(sqs: Any, queue: str, numbers: range) -> None:
    entries = [
        {"Id": str(number), "MessageBody": json.dumps({"id": number, "text": "good film"})}
        for number in numbers
    ]
    assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


def read_objects(s3: Any, prefix: str) -> list[bytes]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="results", Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [read_object(s3, key) for key in keys]


def read_object(s3: Any, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket="results", Key=key)["Body"].read()
    return content


def wait_for(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def find_workers(pid: int) -> list[int]:
    """Return the processes that classify for `pid`; Linux tells a process its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in read_command(int(child))]


def read_command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
