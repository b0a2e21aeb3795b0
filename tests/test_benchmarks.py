"""Every benchmark runs to its table; the figures in it are for other machines.

`benchmarks.cold_start` needs Docker and stands in tests/sam.
"""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.benchmarks import run_benchmark
from tests.helpers.few import make_rows, write_set
from tests.helpers.paths import ROOT
from tests.helpers.tools import skip_or_fail


@pytest.fixture(scope="module")
def tiny_run_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.export import export_run

    out = tmp_path_factory.mktemp("bundles") / "int8"
    export_run(tiny_run, out)
    return out


@pytest.fixture(scope="module")
def tiny_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "tiny", make_rows(80), make_rows(40, start=100))
    return folder


@pytest.fixture(scope="module")
def tiny_watched(tiny_run_bundle: Path, tiny_data: Path, tmp_path_factory) -> Path:
    """Folders of texts that are known, and of others, beside a bundle that stands already."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "work").mkdir()
    (folder / "work" / "bundle").symlink_to(tiny_run_bundle)
    others = "text,label\n" + "".join(f"новости дня {number},a\n" for number in range(300))
    for name, content in (("airline", tiny_data.read_text()), ("agnews", others)):
        (folder / name).mkdir()
        with gzip.open(folder / name / "test.csv.gz", "wt", encoding="utf-8") as file:
            file.write(content)
    return folder


# Arguments, where {…} is a fixture's path, and what must stand in the output.
RUNS = {
    "events": (
        "--bundle {tiny_bundle} --rounds=1 --starts=1",
        ["times the records/s, CPU time: ", "with boto3"],
    ),
    "http": ("--bundle {tiny_bundle} --rounds=10", ["mangum_http_v2"]),
    "before": ("{root} {tiny_data} --rounds=1 --rows=20", ["predict, 64 at once", "score"]),
    "http_memory": (
        "--bundle {tiny_bundle} --requests=6000",
        ["growth after the first 5000: "],
    ),
    "peers": (
        "{tiny_data} --bundle {tiny_run_bundle} --rounds=1 --only=models",
        ["\nfastText ", "\nTF-IDF + regression ", "\nDistilBERT's size "],
    ),
    "score": (
        "{tiny_data} --bundle {tiny_run_bundle} --run {tiny_run} --rounds=1",
        ["two workers, times one, wall: ", "\nKeras ", "\nfastText "],
    ),
    "latency": ("{tiny_run} {tiny_run_bundle} {tiny_data} --rounds=20", ["ONNX int8"]),
    "compression": ("{tiny_run} {tiny_run_bundle} --data {tiny_data}", ["unpruned float32"]),
    "few": (
        "{tiny_sets} --rows=40 --samples=1 --seconds=1"
        " --only=minnow,minnow-unlabelled,fasttext,nbsvm,both"
        " '--train-options=--recipe=stacked --epochs=1 --units=8,8 --embedding-dim=8'"
        " --results={tmp_path}/results --work={tmp_path}/work",
        [
            "| tiny | 40 | ",
            "\n| Minnow | ",
            "\n| Minnow with the other",
            "\n| fastText, autotuned | ",
            "\n| NBSVM, ",
        ],
    ),
    "encoders": (
        "{tiny_sets} --rows=40 --only=lstm,transformer --work={tmp_path}/work"
        " '--train-options=--recipe=stacked --epochs=1 --units=8,8 --embedding-dim=8'",
        ["| tiny | 40 | lstm | ", "| tiny | 40 | transformer | "],
    ),
    "lint": (
        "{tiny_sets} --sets=tiny --results={tmp_path}/lint.md",
        ["| tiny | 80 | 5 % random | ", "| tiny | 80 | 10 % similar | "],
    ),
    "rare": (
        "{tiny_sets} --rare=tiny:pos --whole=tiny '--train-options=--epochs=1'"
        " --results={tmp_path}/rare.md --work={tmp_path}/work",
        [
            "| tiny:pos | 50, 10 | 20 | Minnow | ",
            "| tiny:pos | 50, 10 | 20 | TF-IDF, balanced | ",
            "| tiny | 80 | Minnow, --decide macro-f1 | ",
        ],
    ),
    "suggest": (
        "{tiny_sets} --sets=tiny --samples=2 --results={tmp_path}/suggest.md",
        ["| tiny, 13 | at random | ", "| tiny, 13 | `minnow suggest` | "],
    ),
    "drift": (
        "{tiny_watched} --work={tiny_watched}/work --part=0.06",
        ["a profile of ", "no news ", " 0/6 ", "a tweet "],
    ),
    "models": (
        "{tiny_bundle} --models=3 --seconds=1 --threads=2 --requests=60 --promotions=2",
        ["over_warm_ms_p50", "threads\n", "promotions\n"],
    ),
    "gpu": ("{tiny_run_bundle} {tiny_bundle} {tiny_data} --rounds=1", ["CPU, float32 "]),
    "beyond": (
        "{tiny_data} --only=memory --rows=3000 --steps=3 --sample-rows=1000 --cores=0"
        " --work={tmp_path}/work -- --units=4 --embedding-dim=4 --table-bytes=2000",
        ["memory: 3,000 rows, ", " GB at most, "],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_benchmark_prints_its_table(
    name, tiny_bundle, tiny_data, tiny_run, tiny_run_bundle, tiny_sets, tiny_watched, tmp_path
):
    paths = {
        "root": ROOT,
        "tmp_path": tmp_path,
        "tiny_sets": tiny_sets,
        "tiny_watched": tiny_watched,
        "tiny_bundle": tiny_bundle,
        "tiny_data": tiny_data,
        "tiny_run": tiny_run,
        "tiny_run_bundle": tiny_run_bundle,
    }
    arguments, expected = RUNS[name]

    output = run_benchmark(name, *(word.format(**paths) for word in shlex.split(arguments)))

    for text in expected:
        assert text in output


@pytest.mark.slow
def test_peers_are_driven_by_the_same_load(tiny_bundle, tiny_data):
    if shutil.which("wrk") is None:
        skip_or_fail("the peers were not measured: wrk is missing. On Debian: apt install wrk")
    options = ("--rounds=1", "--seconds=1", "--only=serve")

    output = run_benchmark("peers", tiny_data, "--bundle", tiny_bundle, *options)

    for connections in (1, 16, 64):
        assert f"\n{connections} connections, 1 rounds of 1 s\n" in output
    served = [line.split()[2:] for line in output.splitlines() if line.startswith("minnow serve")]
    assert all(float(rate) > 1 and failed == "0" for rate, _, _, _, failed in served[:3])
    assert all(float(number) >= 1 for number in served[3])


@pytest.mark.slow
def test_peers_say_how_wrk_is_installed(tiny_data):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", str(tiny_data)],
        cwd=ROOT,
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "wrk is not installed (Debian: apt install wrk)\n"


@pytest.mark.slow
def test_accuracy(tiny_data, tmp_path, monkeypatch):
    from benchmarks import accuracy
    from tests.helpers.tiny_run import SETTINGS

    # Quantizing fastText takes over a minute, and so does either recipe's training.
    baselines = {k: v for k, v in accuracy.BASELINES.items() if "quantized" not in k}
    monkeypatch.setattr(accuracy, "BASELINES", baselines)
    monkeypatch.setattr(accuracy, "RECIPES", {"stacked": (SETTINGS, (0, 1))})

    rows = accuracy.measure_set("tiny", tiny_data, tiny_data, tmp_path / "work")
    accuracy.write_results(tmp_path / "results", "tiny", rows)

    table = (tmp_path / "results" / "accuracy.md").read_text()
    for name in (*baselines, "Minnow `stacked`: int8 bundle"):
        assert f"| {name} | " in table
