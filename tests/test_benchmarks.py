"""Every benchmark runs to its table; the figures in it are for other machines.

`benchmarks.cold_start` needs Docker and stands in tests/sam.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tiny_run_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.export import export_run

    out = tmp_path_factory.mktemp("bundles") / "int8"
    export_run(tiny_run, out)
    return out


def run_benchmark(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_events(tiny_bundle):
    output = run_benchmark("events", "--bundle", tiny_bundle, "--rounds=1", "--starts=1")

    assert "times the records/s, CPU time: " in output
    assert "with boto3" in output


@pytest.mark.slow
def test_http(tiny_bundle):
    output = run_benchmark("http", "--bundle", tiny_bundle, "--rounds=10")

    assert "mangum_http_v2" in output


@pytest.mark.slow
def test_http_memory(tiny_bundle):
    output = run_benchmark("http_memory", "--bundle", tiny_bundle, "--requests=6000")

    assert "growth after the first 5000: " in output


@pytest.mark.slow
def test_score(tiny_data, tiny_run, tiny_run_bundle):
    output = run_benchmark(
        "score", tiny_data, "--bundle", tiny_run_bundle, "--run", tiny_run, "--rounds=1"
    )

    assert "two workers, times one, wall: " in output
    assert "\nKeras " in output
    assert "\nfastText " in output


@pytest.mark.slow
def test_latency(tiny_data, tiny_run, tiny_run_bundle):
    output = run_benchmark("latency", tiny_run, tiny_run_bundle, tiny_data, "--rounds=20")

    assert "ONNX int8" in output


@pytest.mark.slow
def test_compression(tiny_data, tiny_run, tiny_run_bundle):
    output = run_benchmark("compression", tiny_run, tiny_run_bundle, "--data", tiny_data)

    assert "unpruned float32" in output


@pytest.mark.slow
def test_gpu(tiny_bundle, tiny_run_bundle, tiny_data):
    output = run_benchmark("gpu", tiny_run_bundle, tiny_bundle, tiny_data, "--rounds=1")

    assert "CPU, float32 " in output


@pytest.mark.slow
def test_accuracy(tiny_data, tmp_path, monkeypatch):
    from benchmarks import accuracy
    from tests.training.tiny import SETTINGS

    # Quantizing fastText takes over a minute, and so does either recipe's training.
    baselines = {k: v for k, v in accuracy.BASELINES.items() if "quantized" not in k}
    monkeypatch.setattr(accuracy, "BASELINES", baselines)
    monkeypatch.setattr(accuracy, "RECIPES", {"seed": (SETTINGS, (0, 1))})

    rows = accuracy.measure_set("tiny", tiny_data, tiny_data, tmp_path / "work")
    accuracy.write_results(tmp_path / "results", "tiny", rows)

    table = (tmp_path / "results" / "accuracy.md").read_text()
    for name in (*baselines, "Minnow `seed`: int8 bundle"):
        assert f"| {name} | " in table
