"""`minnow train` and `minnow export` killed at random moments, two at once, and disks that fill.

The counts here are small; `make test-kills` runs 200 kills of all commands.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handler.inference.classifier import load_classifier
from tests.helpers.kills import IS_LONG, kill, moments, run, start
from tests.helpers.tiny_run import ATOL, weights_of
from training.run_folder import read_run

pytestmark = pytest.mark.slow
NUM_KILLS = 25 if IS_LONG else 2  # of each command
# A start takes four seconds and the training one more, on two cores that do nothing else.
LONGEST_S = 10.0
SMALL = [
    *("--recipe", "stacked", "--vocab-size", "50", "--max-length", "32", "--embedding-dim", "8"),
    *("--units", "8", "--epochs", "2"),
]


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert run("train", tiny_data, "--out", out, *SMALL, "--quiet")[0] == 0
    return out


def assert_same_run(found: Path, expected: Path) -> None:
    assert sorted(os.listdir(found)) == sorted(os.listdir(expected))
    pairs = zip(weights_of(read_run(found)), weights_of(read_run(expected)), strict=True)
    for weights, wanted in pairs:
        np.testing.assert_allclose(weights, wanted, rtol=0, atol=ATOL)


def folders(parent: Path) -> Iterator[Path]:
    return (parent / name for name in sorted(os.listdir(parent)))


def test_killed_training_ends_with_the_same_run(
    tiny_data: Path, whole: Path, tmp_path: Path
) -> None:
    killed = 0
    for number, after_s in moments(LONGEST_S):
        if killed == NUM_KILLS:
            break
        out = tmp_path / str(number // 3) / "run"
        if not out.exists():
            killed += kill(start("train", tiny_data, "--out", out, *SMALL), after_s)
        assert not out.exists() or read_run(out)

    for parent in folders(tmp_path):
        out = parent / "run"
        if not out.exists():
            assert run("train", tiny_data, "--out", out, *SMALL)[0] == 0
        assert_same_run(out, whole)
        assert os.listdir(parent) == ["run"]
    print(f"{killed} kills")


def test_killed_exports_leave_the_old_bundle_or_the_new(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    command = ("export", whole, "--out", out, "--force", "--model-version")
    assert run(*command, "first")[0] == 0
    killed, versions = 0, {"first"}
    for number, after_s in moments(LONGEST_S):
        if killed == NUM_KILLS:
            break
        versions.add(str(number))
        killed += kill(start(*command, str(number)), after_s)
        assert load_classifier(out).manifest.version in versions

    assert run(*command, "last")[0] == 0

    assert load_classifier(out).manifest.version == "last"
    assert os.listdir(tmp_path) == ["bundle"]
    print(f"{killed} kills")


@pytest.mark.parametrize("force", [[], ["--force"]] if IS_LONG else [["--force"]], ids=str)
def test_the_second_training_is_refused_before_it_spends_anything(
    force: list[str], tiny_data: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    pair = [start("train", tiny_data, "--out", out, *SMALL, *force) for _ in range(2)]

    ends = sorted((process.communicate()[1], process.returncode) for process in pair)

    codes = [code for _, code in ends]
    refusal = next(error for error, code in ends if code)
    assert sorted(codes) == [0, 1]
    assert refusal.startswith(f"minnow: {out}: ")
    assert " is at work on it" in refusal
    assert refusal.count("\n") == 1
    assert_same_run(out, whole)
    assert os.listdir(tmp_path) == ["run"]


def test_the_second_export_is_refused_before_it_spends_anything(
    whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    pair = [start("export", whole, "--out", out, "--force") for _ in range(2)]

    ends = sorted((process.communicate()[1], process.returncode) for process in pair)

    refusal = next(error for error, code in ends if code)
    assert sorted(code for _, code in ends) == [0, 1]
    assert refusal.startswith(f"minnow: {out}: ")
    assert " is at work on it" in refusal
    assert load_classifier(out).manifest.name == "run"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("started.json", "starts anew"),
        ("stages/checkpoint.npz", "computed again"),
        ("new/tokenizer.json", ""),  # the words are counted anew each time
    ],
)
def test_work_that_was_cut_short_is_said_and_made_again(
    name: str, said: str, tiny_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start("train", tiny_data, "--out", out, *SMALL, "--epochs", "20")
    path = tmp_path / "run.partial" / "stages" / "checkpoint.npz"
    while not path.exists():
        assert process.poll() is None
    kill(process, 0)
    cut = tmp_path / "run.partial" / name
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])

    code, errors = run("train", tiny_data, "--out", out, *SMALL, "--epochs", "20")

    assert code == 0
    assert said in errors
    assert (f"{cut}: " in errors) == bool(said)
    assert read_run(out).metadata["settings"]["epochs"] == 20
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("limit_bytes", [1, 3000, 20_000] if IS_LONG else [3000])
def test_a_disk_that_fills_is_one_line_and_the_training_goes_on_after_room_is_made(
    limit_bytes: int, tiny_data: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("train", tiny_data, "--out", out, *SMALL, "--quiet")

    code, errors = run(*command, limit_bytes=limit_bytes)

    assert (code, errors.count("\n")) == (1, 1), errors
    assert errors.startswith("minnow: ")
    assert not out.exists()
    assert run(*command)[0] == 0
    assert_same_run(out, whole)
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("limit_bytes", [1, 3000] if IS_LONG else [3000])
def test_a_disk_that_fills_leaves_the_old_bundle(
    limit_bytes: int, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    assert run("export", whole, "--out", out, "--name", "old")[0] == 0

    code, errors = run("export", whole, "--out", out, "--force", limit_bytes=limit_bytes)

    assert code == 1
    assert errors.splitlines()[-1].startswith("minnow: ")  # TensorFlow may say before what it lacks
    assert "Traceback" not in errors
    assert load_classifier(out).manifest.name == "old"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("name", ["model.keras", "tokenizer.json", "reference.npz"])
def test_a_run_cut_short_is_one_line(name: str, whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])

    code, errors = run("export", copy, "--out", tmp_path / "bundle")

    assert (code, errors.count("\n")) == (1, 1), errors
    assert errors.startswith(f"minnow: {copy / name}: cannot be read")
    assert "Train again: minnow train" in errors
    assert os.listdir(tmp_path) == ["copy"]
