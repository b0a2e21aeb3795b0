"""`minnow score --engine ray`: what it writes is what `minnow score` writes, to the byte."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from handler.files import holding
from tests.helpers.benchmarks import run_benchmark
from tests.helpers.engines import RAY_SETTINGS
from tests.helpers.tables import write_rows
from tests.helpers.wheel import run_installed

pytestmark = pytest.mark.engines

NUM_FILES = 4
SCORE = ("-m", "minnow", "score")
RAY = ("--engine", "ray")


@pytest.fixture
def source(tmp_path):
    """A folder of files, the first of which has no rows."""
    (tmp_path / "in").mkdir()
    for number in range(NUM_FILES):
        write_rows(tmp_path / "in" / f"{number}.csv", 3000 * min(number, 1))
    return tmp_path / "in"


@pytest.fixture
def large(tmp_path):
    """A folder of files that take seconds."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        write_rows(tmp_path / "in" / f"{number}.csv", 150_000)
    return tmp_path / "in"


def score(python, bundle, source, out, *options, **environment):
    return run_installed(
        *(python, *SCORE, bundle, source, "--out", out, "--quiet", *options),
        cwd=source.parent if isinstance(source, Path) else bundle,
        **environment,
    )


@pytest.fixture
def start():
    """What starts scoring, and returns its process; those that are left are killed in the end."""
    started = []

    def start(python, bundle, source, out, **environment):
        process = subprocess.Popen(
            [python, *SCORE, bundle, source, "--out", out, "--quiet", *RAY],
            cwd=source.parent,
            env={**os.environ, **environment, "PYTHONPATH": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(look, process):
    """Return what `look` finds as soon as it is something, while the process is at work."""
    while not (found := look()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    return found


def read_files(folder):
    """Return name -> bytes of the files in a folder, but for what says that they are done."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def find_actors(keeper):
    """Return the processes of a cluster whose actors are at work."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[path.name] = re.search(r"\) . (\d+)", (path / "stat").read_text())[1]
            names[path.name] = (path / "cmdline").read_text()
        except (OSError, TypeError):
            continue

    def is_below(pid):
        return pid == str(keeper) or (pid in parents and is_below(parents[pid]))

    works = ("ray::Actor.score", "ray::Actor.predict")
    return [int(pid) for pid, name in names.items() if name.startswith(works) and is_below(pid)]


def test_a_cluster_of_this_machine_gives_the_same_bytes(tiny_bundle, source, wheel_python):
    plain, out = f"{source.parent}/plain/", f"{source.parent}/out/"
    score(wheel_python, tiny_bundle, source, plain)

    command = (wheel_python, tiny_bundle, source, out, *RAY, "--workers", "2")
    done = score(*command, **RAY_SETTINGS)
    times = {path: path.stat().st_mtime_ns for path in Path(out).iterdir()}
    again = score(*command, **RAY_SETTINGS)

    assert read_files(out) == read_files(plain)
    assert again.stdout == done.stdout
    assert "1.csv\t3000 rows, 6 rejected\n" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in Path(out).iterdir()} == times
    told = run_installed(wheel_python, "-m", "minnow", "shards", out, cwd=source).stdout
    assert told.endswith("all 4 shards are done: 9,000 rows of 4 inputs, 18 rejected\n")


def test_all_actors_share_one_file(tiny_bundle, source, wheel_python, ray_cluster):
    settings, _ = ray_cluster
    plain, out = f"{source.parent}/plain.csv", f"{source.parent}/out.csv"
    score(wheel_python, tiny_bundle, source / "1.csv", plain)

    score(wheel_python, tiny_bundle, source / "1.csv", out, *RAY, **settings)

    found = read_files(source.parent)
    assert found["out.csv"] == found["plain.csv"]
    assert found["out.csv.rejected"] == found["plain.csv.rejected"]


def test_a_prefix_of_a_bucket(tiny_bundle, source, wheel_python, ray_cluster, aws):
    settings, _ = ray_cluster
    s3 = aws("s3")
    place = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    s3.create_bucket(Bucket="texts", **place)
    for path in source.iterdir():
        s3.put_object(Bucket="texts", Key=f"in/{path.name}", Body=path.read_bytes())
    score(wheel_python, tiny_bundle, source, f"{source.parent}/plain/")

    score(wheel_python, tiny_bundle, "s3://texts/in/", "s3://texts/out/", *RAY, **settings)

    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="texts", Prefix="out/")["Contents"]]
    outputs = {key.removeprefix("out/"): key for key in keys if "_shards" not in key}
    found = {
        name: s3.get_object(Bucket="texts", Key=key)["Body"].read() for name, key in outputs.items()
    }
    assert found == read_files(source.parent / "plain")
    run_installed(
        *(wheel_python, "-m", "minnow", "shards", "s3://texts/out/"), cwd=source, **settings
    )


def test_a_killed_driver_goes_on_and_a_killed_actor_loses_nothing(
    tiny_bundle, large, wheel_python, ray_cluster, start
):
    settings, keeper = ray_cluster
    plain, out = f"{large.parent}/plain/", f"{large.parent}/out/"
    score(wheel_python, tiny_bundle, large, plain)
    command = (wheel_python, tiny_bundle, large, out)

    driver = start(*command, **settings)
    wait_for(lambda: [*Path(out).glob("*.partial/state.json")], driver)
    driver.kill()
    driver.wait()
    again = start(*command, **settings)
    wait_for(lambda: not find_actors(keeper), again)  # those of the first
    os.kill(wait_for(lambda: find_actors(keeper), again)[0], signal.SIGKILL)
    _, errors = again.communicate(timeout=300)

    assert again.returncode == 0, errors
    assert read_files(out) == read_files(plain)


def test_a_killed_actor_of_one_file_loses_and_doubles_nothing(
    tiny_bundle, large, wheel_python, ray_cluster, start
):
    settings, keeper = ray_cluster
    source, out = large / "1.csv", f"{large.parent}/out.csv"
    score(wheel_python, tiny_bundle, source, f"{large.parent}/plain.csv")

    driver = start(wheel_python, tiny_bundle, source, out, **settings)
    os.kill(wait_for(lambda: find_actors(keeper), driver)[0], signal.SIGKILL)
    _, errors = driver.communicate(timeout=300)

    assert driver.returncode == 0, errors
    found = read_files(large.parent)
    assert found["out.csv"] == found["plain.csv"]
    assert found["out.csv.rejected"] == found["plain.csv.rejected"]


def test_what_cannot_be_scored_is_named_and_stops_no_other(
    tiny_bundle, source, wheel_python, ray_cluster
):
    settings, _ = ray_cluster
    (source / "1.csv").write_text("number\n1\n")
    out = source.parent / "out"
    command = (wheel_python, tiny_bundle, source, f"{out}/", *RAY)

    with holding(out / "2.csv.partial", out / "2.csv"):
        with pytest.raises(AssertionError, match=r"2\.csv: process \d+ is at work on it"):
            score(*command, **settings)
    with pytest.raises(AssertionError, match=r"1 of 4 inputs were not scored, 3 are done.*1\.csv"):
        score(*command, **settings)

    assert sorted(read_files(out)) == [
        "0.csv",
        "2.csv",
        "2.csv.rejected",
        "3.csv",
        "3.csv.rejected",
    ]
    (source / "1.csv").write_text("text\ngood\n")
    score(*command, **settings)
    assert (out / "1.csv").read_text().startswith("text,")


def test_the_benchmark_prints_its_table(tiny_bundle, tiny_data):
    options = ("--rows=400", "--workers=2", "--skip-start")

    output = run_benchmark("engines", tiny_data, "--bundle", tiny_bundle, *options)

    for way in ("score --workers, files", "score --engine ray, one.csv", "Ray Data, files"):
        assert f"\n{way} " in output
