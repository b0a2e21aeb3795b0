"""`minnow score`: whole files, several workers, a kill and a second run, memory, errors."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from handler.errors import DeliveryError, InvalidInput
from handler.hosts.bulk import open_predictor, score_files
from handler.hosts.progress import ProgressBar
from handler.hosts.score_state import Work
from handler.inference.classifier import load_classifier
from minnow.cli import main


def write_csv(path: Path, num_rows: int) -> Path:
    words = random.Random(7)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        for number in range(num_rows):
            text = " ".join(words.choices(["good", "bad", "film", "naïve", "x\ny"], k=number % 9))
            writer.writerow([number, text if number % 50 else "long " * 4001, "kept"])
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_score_writes_the_rows_with_labels_and_the_rejected_beside_them(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = write_csv(tmp_path / "a.csv", 120), tmp_path / "b.csv"

    code = main(["score", str(tiny_bundle), str(source), "--out", str(output), "--json"])

    assert code == 0
    summary = json.loads(capsys.readouterr().out)["files"][0]
    assert (summary["rows"], summary["rejected"]) == (120, 3)
    rows = read_csv(output)
    assert [int(row["id"]) for row in rows] == [number for number in range(120) if number % 50]
    assert list(rows[0])[2:] == ["label", "predicted_label", "predicted_score", "model_version"]
    rejected = (tmp_path / "b.csv.rejected").read_text().splitlines()
    assert [json.loads(line)["row"] for line in rejected] == [1, 51, 101]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.csv",
        "b.csv",
        "b.csv.rejected",
    ]


def test_the_progress_tells_rows_and_speed(tmp_path: Path, tiny_bundle: Path) -> None:
    progress = io.StringIO()

    score_files(
        tiny_bundle,
        [str(write_csv(tmp_path / "a.csv", 3000))],
        f"{tmp_path}/out/",
        progress=progress,
    )

    lines = progress.getvalue().splitlines()
    assert [line.startswith("100%  3,000 rows  ") for line in lines] == [False, True]
    assert re.findall("[\r\x1b]", progress.getvalue()) == []


def test_a_terminal_has_a_bar_and_no_speed_of_zero() -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]

    bar = ProgressBar(terminal, 10, 0)
    bar.drawn -= 1  # long ago
    bar.draw(3, 2)
    bar.draw(5, 4)
    bar.finish(5)
    ProgressBar(terminal, 10, 5).finish(5)

    drawn = terminal.getvalue().split("\r")
    assert drawn[1].startswith(" 40%  5 rows  ")
    assert drawn[-1] == "100%  5 rows\x1b[K\n"


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one(tmp_path: Path, tiny_bundle: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / name, 5000)
    pattern = [f"{tmp_path}/*.csv"]

    score_files(tiny_bundle, pattern, f"{tmp_path}/one/")
    score_files(tiny_bundle, pattern, f"{tmp_path}/two/", workers=2)

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["a.csv", "a.csv.rejected", "b.csv", "b.csv.rejected"]
    for name in names:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    suffix: str, tmp_path: Path, tiny_bundle: Path
) -> None:
    source = write_csv(tmp_path / "a.csv", 30_000)
    if suffix == "parquet":
        import pyarrow
        from pyarrow import parquet

        source = tmp_path / "a.parquet"
        table = pyarrow.Table.from_pylist(read_csv(tmp_path / "a.csv"))
        parquet.write_table(table, source, row_group_size=10_000)
    whole, output = tmp_path / f"whole.{suffix}", tmp_path / f"b.{suffix}"
    score_files(tiny_bundle, [str(source)], str(whole))
    program = (
        "from handler.hosts import file_job; from minnow.cli import main; "
        "file_job.CHECKPOINT_S = 0; main()"
    )
    command = ["score", str(tiny_bundle), str(source), "--out", str(output), "--quiet"]
    running = subprocess.Popen([sys.executable, "-c", program, *command])
    state = tmp_path / f"b.{suffix}.partial" / "state.json"
    deadline = time.monotonic() + 60
    while not (state.exists() and json.loads(state.read_text())["row"] > 5_000):
        assert time.monotonic() < deadline
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    rows_before = json.loads(state.read_text())["row"]

    summary = score_files(tiny_bundle, [str(source)], str(output))[0]

    assert rows_before < 30_000
    assert (summary.rows, summary.rejected) == (30_000, 600)
    assert output.read_bytes() == whole.read_bytes()
    assert (tmp_path / f"b.{suffix}.rejected").read_bytes() == (
        tmp_path / f"whole.{suffix}.rejected"
    ).read_bytes()
    assert not state.exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path, tiny_bundle: Path) -> None:
    program = (
        "import sys, resource; from pathlib import Path;"
        "from handler.hosts.bulk import open_predictor, score_files;"
        "score_files(Path(sys.argv[1]), [sys.argv[2]], sys.argv[3]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for num_rows in (3000, 30_000):
        source = write_csv(tmp_path / f"{num_rows}.csv", num_rows)
        arguments = [str(tiny_bundle), str(source), f"{tmp_path}/out/"]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))

    # 20 times the rows; the allocator alone moves the peak by a few MB. In KiB, as Linux tells it.
    assert peaks[1] - peaks[0] < 24 * 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv", "--out", "b.csv"], "missing.csv: no such file"),
        (["a.csv", "--out", "a.csv"], "the output would overwrite the input"),
        (["a.csv", "--out", "b.jsonl"], "its name says another format"),
        (["a.csv", "c.csv", "--out", "b.csv"], "2 inputs and one output"),
        (["a.csv", "--out", "b.csv", "--text-column", "body"], "columns is named body"),
    ],
)
def test_a_wrong_use_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "c.csv"):
        write_csv(tmp_path / name, 3)

    code = main(["score", str(tiny_bundle), *arguments])

    assert code == 1
    assert message in capsys.readouterr().err


def test_a_folder_is_all_files_in_it(tmp_path: Path, tiny_bundle: Path) -> None:
    source = tmp_path / "in"
    (source / "more").mkdir(parents=True)
    for name in ("b.csv", "a.csv", "_c.csv", ".d.csv", "more/e.csv"):
        write_csv(source / name, 3)
    (source / "a.csv.rejected").write_text("")

    summaries = score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/")

    outputs = [f"{tmp_path}/out/{name}" for name in ("a.csv", "b.csv")]
    assert [summary.output for summary in summaries] == outputs


def test_an_output_is_not_shared_by_two_inputs(tmp_path: Path, tiny_bundle: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / "a.csv", 3)

    with pytest.raises(InvalidInput, match="two inputs have the same name"):
        score_files(tiny_bundle, [f"{tmp_path}/*/a.csv"], f"{tmp_path}/out/")


def test_a_worker_that_dies_is_one_error(tmp_path: Path, tiny_bundle: Path) -> None:
    classifier = load_classifier(tiny_bundle)

    with pytest.raises(DeliveryError, match="a process that classifies has ended of itself"):
        with open_predictor(classifier, tmp_path / "nowhere", 2) as predictor:
            list(predictor(iter([SimpleNamespace(texts=["good"])])))  # type: ignore[list-item]


def test_a_file_that_came_during_the_work_is_kept(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write_csv(tmp_path / "a.csv", 120), tmp_path / "b.csv"
    save = Work.save_finished

    def save_and_write(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        output.write_text("mine")

    monkeypatch.setattr(Work, "save_finished", save_and_write)
    with pytest.raises(InvalidInput, match=r"b\.csv: exists already"):
        score_files(tiny_bundle, [str(source)], str(output))
    assert output.read_text() == "mine"
    output.unlink()

    summary = score_files(tiny_bundle, [str(source)], str(output))[0]

    assert (summary.rows, len(read_csv(output))) == (120, 117)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "b.csv.rejected"]


def test_a_disk_without_room_is_named_and_nothing_is_left(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_csv(tmp_path / "a.csv", 120)
    monkeypatch.setattr("handler.files.count_free", lambda path: 10)

    with pytest.raises(OSError, match="needs about 0.06 MB, the disk has 0.00 MB free"):
        score_files(tiny_bundle, [str(source)], str(tmp_path / "b.csv"))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]
