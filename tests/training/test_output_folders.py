"""No folder is replaced that holds anything but what Minnow wrote there."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from export.bundle_writer import check_free as check_bundle
from export.compress.search import TRIALS
from export.errors import ExportError
from minnow.cli import main
from training.errors import RunError
from training.output_folders import find_problem, put_in_place, restore
from training.run_folder import RUN, check_free

ROWS = "text,label\n" + "good film,pos\nbad film,neg\n" * 3


def hash_tree(folder: Path) -> dict[str, str]:
    """Return path -> what stands there, of everything below `folder`."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def make_run(folder: Path, **metadata) -> Path:
    folder.mkdir(parents=True)
    for name in ("model.keras", "tokenizer.json", "reference.npz", "report.md", "history.csv"):
        (folder / name).write_text("ours")
    document = {"format_version": 5, "command": "minnow train", **metadata}
    (folder / "metadata.json").write_text(json.dumps(document))
    return folder


def make_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("model.onnx", "tokenizer.json.gz"):
        (folder / name).write_text("ours")
    (folder / "manifest.json").write_text('{"format_version": 4, "golden": {}, "files": {}}')
    return folder


def make_trials(folder: Path) -> Path:
    make_run(folder / "75-100").joinpath("stages").mkdir()
    (folder / "75-100" / "stages" / "checkpoint.npz").touch()
    (folder / "run.json").write_text('{"format_version": 2, "model_sha256": "0"}')
    return folder


MAKERS = {"run": make_run, "bundle": make_bundle, "trials": make_trials}


def put(folder: Path, name: str, content: str = "mine") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


# What --out is, and what stands in it.
FOREIGN = {
    "a file of the user's beside a run": lambda out: put(make_run(out), "notes.txt"),
    "a hidden file beside a run": lambda out: put(make_run(out), ".env"),
    "a folder beside a run": lambda out: put(make_run(out), "plots/curve.png"),
    "an empty folder beside a run": lambda out: (make_run(out) / "mine").mkdir(),
    "a link beside a run": lambda out: (make_run(out) / "history.txt").symlink_to("report.md"),
    "a link in place of a run's file": lambda out: (
        (make_run(out) / "report.md").unlink(),
        (out / "report.md").symlink_to("/etc/hostname"),
    ),
    "a folder in place of a run's file": lambda out: (
        (make_run(out) / "report.md").unlink(),
        put(out, "report.md/mine.txt"),
    ),
    "a folder of data": lambda out: put(out, "rows.csv", ROWS),
    "a folder of folders": lambda out: put(out, "pos/0.txt"),
    "metadata of something else": lambda out: put(out, "metadata.json", '{"title": "data"}'),
    "metadata that are no JSON": lambda out: put(out, "metadata.json", "mine"),
    "names of a run without metadata": lambda out: put(out, "report.md"),
    "a bundle": make_bundle,
    "trials": make_trials,
    "a file": lambda out: put(out.parent, out.name),
    "a link to a run": lambda out: out.symlink_to(make_run(out.with_name("real"))),
    "a link to nowhere": lambda out: out.symlink_to("nowhere"),
    "the training file's folder": lambda out: (
        put(out, "rows.csv", ROWS),
        make_run(out / "run"),
    ),
    "a user's folder where work in progress would stand": lambda out: put(
        out.with_name(f"{out.name}.partial"), "mine.txt"
    ),
    "a user's file beside work in progress": lambda out: (
        put(out.with_name(f"{out.name}.partial"), "started.json", '{"signature": "0"}'),
        put(out.with_name(f"{out.name}.partial"), "mine.txt"),
    ),
}


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
@pytest.mark.parametrize("case", FOREIGN)
def test_train_refuses_what_is_no_run_and_touches_nothing(case, force, tmp_path, capsys):
    put(tmp_path, "data.csv", ROWS)
    out = tmp_path / "out"
    FOREIGN[case](out)
    before = hash_tree(tmp_path)

    assert main(["train", str(tmp_path / "data.csv"), "--out", str(out), *force]) == 1

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"minnow: {out}")
    assert "--force" not in error or "--force to replace" not in error
    assert hash_tree(tmp_path) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (".", "is the folder that you are in"),
        ("..", "is the folder that you are in"),
        ("/", "is the folder that you are in"),
        ("../work", "is the folder that you are in"),
        ("data.csv", "is a file"),
        ("data.csv/run", "cannot be made, .*data.csv is a file"),
        ("texts", "holds the input texts/pos"),
        ("texts/pos/run", "lies inside the input texts/pos"),
        ("loop/../texts/pos/run", "lies inside the input texts/pos"),
    ],
)
def test_a_place_that_is_no_place_for_a_run_is_one_line(out, message, tmp_path, monkeypatch):
    work = tmp_path / "work"
    put(work, "data.csv", ROWS)
    put(work, "texts/pos/good/0.txt")
    (work / "loop").mkdir()
    monkeypatch.chdir(work)
    before = hash_tree(tmp_path)

    with pytest.raises(RunError, match=message):
        check_free(Path(out), True, [Path("texts/pos")])

    assert hash_tree(tmp_path) == before


def test_an_input_inside_the_run_or_its_work_in_progress_is_refused(tmp_path):
    out = make_run(tmp_path / "run")
    put(tmp_path, "run.partial/started.json", '{"signature": "0"}')
    put(tmp_path, "run.partial/history.csv", ROWS)

    for name in ("run/history.csv", "run.partial/history.csv"):
        with pytest.raises(RunError, match="holds the input"):
            check_free(out, True, [tmp_path / name])


def test_ours_may_be_replaced_with_force_alone(tmp_path):
    out = make_run(tmp_path / "run", files=["residuals.png"])
    put(out, "residuals.png")
    put(out, ".DS_Store")
    put(out, ".partial-report.md/report.md")

    check_free(out, True)
    with pytest.raises(RunError, match=r"exists already. Give another --out, or --force to rep"):
        check_free(out, False)


def test_a_bundle_replaces_only_a_bundle(tmp_path):
    for name, make in MAKERS.items():
        make(tmp_path / name)
    put(make_bundle(tmp_path / "mixed"), "notes.txt")
    put(tmp_path, ".new.partial/notes.txt")

    check_bundle(tmp_path / "bundle", True, [tmp_path / "run"])
    check_bundle(tmp_path / "run" / "bundle", False, [tmp_path / "run"])
    for name in ("run", "trials", "mixed", "new"):
        with pytest.raises(ExportError, match="so nothing replaces it"):
            check_bundle(tmp_path / name, True)


@pytest.mark.parametrize("name", ["notes.txt", "75-100/notes.txt", "75-100/stages/notes.txt"])
def test_a_file_anywhere_among_trials_is_found(name, tmp_path):
    trials = make_trials(tmp_path / "trials")

    assert find_problem(trials, TRIALS) == ""
    put(trials, name)
    assert find_problem(trials, TRIALS) == f"{name} is no part of it"


def test_what_came_during_the_work_is_kept(tmp_path):
    out, work = make_run(tmp_path / "run"), tmp_path / "run.partial"
    make_run(work / "new")
    put(out, "notes.txt")
    before = hash_tree(tmp_path)

    assert "notes.txt is no part of it" in put_in_place(work, out, RUN, force=True)

    assert hash_tree(tmp_path) == before


def test_a_run_takes_the_place_of_a_run_and_leaves_nothing_beside(tmp_path):
    out, work = make_run(tmp_path / "run"), tmp_path / "run.partial"
    wanted = hash_tree(make_run(work / "new", seed=2))

    assert put_in_place(work, out, RUN, force=True) == ""

    assert hash_tree(out) == wanted
    assert hash_tree(work) == {}


def test_what_a_kill_left_between_the_two_renames_is_put_back_or_removed(tmp_path):
    out, work = tmp_path / "run", tmp_path / "run.partial"
    wanted = hash_tree(make_run(work / "old"))

    restore(work, out)
    assert hash_tree(out) == wanted
    make_run(work / "old", seed=2)
    restore(work, out)

    assert hash_tree(out) == wanted
    assert hash_tree(work) == {}


@pytest.mark.parametrize("name", ["", "started.json", "stages/checkpoint.npz", "new/model.keras"])
def test_work_that_was_killed_at_any_moment_is_gone_on_from(name, tmp_path):
    work = tmp_path / "run.partial"
    work.mkdir()
    if name:  # the folder of a write that was killed
        if "/" in name:
            put(work, "started.json", "{}")
        path = work / name
        put(path.parent, f".partial-{path.name}/{path.name}", "half")

    check_free(tmp_path / "run", False)
