"""`make bench-cold` runs to its table; the figures in it are for an idle machine."""

import json

import pytest

from tests.helpers.benchmarks import run_benchmark

CASES = ("floor:predict", "minnow:predict", "eager:predict", "floor:sqs", "minnow:sqs")


@pytest.mark.docker
@pytest.mark.slow
def test_every_contestant_answers(sam, docker_engine, tmp_path):
    path = tmp_path / "cold_start.json"

    output = run_benchmark(
        "cold_start", "--memory=1769", "--starts=1", "--json", path, "--cases", *CASES
    )

    assert "eager is x" in output
    rows = json.loads(path.read_text())
    assert [f"{row['contestant']}:{row['event']}" for row in rows] == list(CASES)
    assert all(row["first_cpu_ms"] > row["warm_cpu_ms"] > 0 for row in rows)
