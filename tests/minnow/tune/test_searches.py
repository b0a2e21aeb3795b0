"""Searches of made-up trials: kills, times, options and messages."""

import json
import random
import signal
from collections import Counter

import pytest

from tests.helpers.kills import IS_LONG
from tests.helpers.searches import read_trials, start_search, stop_at_trial

KILLS = 40 if IS_LONG else 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    order = random.Random(0)
    rows = [
        f"{' '.join(f'w{order.randrange(900)}' for _ in range(6))},{'ab'[row % 2]}"
        for row in range(300)
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def finish(*arguments: object) -> tuple[int, str, str]:
    process = start_search(*arguments)
    out, errors = process.communicate(timeout=300)
    return process.returncode, out, errors


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_stopped_loses_no_trial_and_does_none_twice(data, tmp_path, how):
    out, order, stopped = tmp_path / "out", random.Random(how), 0
    arguments = (data, "--out", out, "--minutes", 9, "--max-trials", 15, "--jobs", 2)
    before: list = []

    for _ in range(KILLS):
        stop_at_trial(start_search(*arguments), out, len(before) + order.randint(1, 2), how)
        stopped += not (out / "tune.md").exists()
        now = read_trials(out)
        assert now[: len(before)] == before
        before = now
        if (out / "tune.md").exists():
            break
    code, _, errors = finish(*arguments) if not (out / "tune.md").exists() else (0, "", "")

    assert (code, stopped > 0) == (0, True), errors
    trials = read_trials(out)
    assert trials[: len(before)] == before
    assert set(Counter(trial.key for trial in trials).values()) == {1}
    assert len(trials) == 15
    assert {path.name for path in out.iterdir()} == {
        *("journal.jsonl", "rows", "started.json", "tune.md", "tune.png"),
    }


@pytest.mark.slow
def test_trials_end_with_the_search_that_was_killed(data, tmp_path):
    out = tmp_path / "out"
    arguments = (data, "--out", out, "--minutes", 9, "--jobs", 2)
    stop_at_trial(start_search(*arguments), out, 2, signal.SIGKILL)

    code, _, errors = finish(*arguments, "--max-trials", 6)

    assert code == 0, errors  # nobody holds the folder or writes into it


@pytest.mark.slow
def test_time_that_was_spent_before_counts(data, tmp_path):
    out = tmp_path / "out"
    arguments = (data, "--out", out, "--max-trials", 4)
    stop_at_trial(start_search(*arguments, "--minutes", 9), out, 2, signal.SIGINT)
    entry = {"spent_s": 60.0 * 8}
    with (out / "journal.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")

    code, _, errors = finish(*arguments, "--minutes", 2)

    assert code == 1
    assert "2 minutes are too little" in errors
    assert "Give --minutes" in errors
    assert finish(*arguments, "--minutes", 30)[0] == 0


@pytest.mark.slow
def test_other_data_or_settings_are_refused_by_name(data, tmp_path):
    out = tmp_path / "out"
    stop_at_trial(start_search(data, "--out", out, "--minutes", 9), out, 1, signal.SIGINT)
    other = data.with_name("other.csv")
    other.write_text(data.read_text("utf-8") + "one more,a\n", "utf-8")

    metric = finish(data, "--out", out, "--minutes", 9, "--metric", "macro_f1")
    rows = finish(other, "--out", out, "--minutes", 9)

    assert (metric[0], rows[0]) == (1, 1)
    assert "(metric differ)" in metric[2]
    assert "data.train.rows" in rows[2]
    assert len(metric[2].splitlines()) == 1


@pytest.mark.slow
def test_a_finished_search_is_replaced_by_force_alone(data, tmp_path):
    out = tmp_path / "out"
    arguments = (data, "--out", out, "--minutes", 9, "--max-trials", 2)
    assert finish(*arguments)[0] == 0

    refused = finish(*arguments)
    replaced = finish(*arguments, "--force")

    assert refused[0] == 1
    assert "is finished. Give another --out, or --force" in refused[2]
    assert replaced[0] == 0, replaced[2]


@pytest.mark.slow
def test_an_unfinished_search_that_cannot_go_on_is_begun_anew_by_force(data, tmp_path):
    out = tmp_path / "out"
    arguments = (data, "--out", out, "--minutes", 9, "--max-trials", 2)
    stop_at_trial(start_search(*arguments), out, 1, signal.SIGINT)
    (out / "journal.jsonl").write_text("what is this\n")

    refused = finish(*arguments)
    replaced = finish(*arguments, "--force")

    assert refused[0] == 1
    assert "is no line of a journal. Start anew with --force" in refused[2]
    assert replaced[0] == 0, replaced[2]
    assert len(read_trials(out)) == 2


@pytest.mark.slow
def test_a_folder_of_other_things_is_never_replaced(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.doc").write_text("mine")

    code, _, errors = finish(data, "--out", out, "--minutes", 1, "--force")

    assert code == 1
    assert "is not a search" in errors
    assert [path.name for path in out.iterdir()] == ["thesis.doc"]


@pytest.mark.slow
def test_the_report_tells_what_was_tried_and_how_to_do_it_again(data, tmp_path):
    out = tmp_path / "out"

    code, said, errors = finish(data, "--out", out, "--minutes", 9, "--max-trials", 12)

    report = (out / "tune.md").read_text("utf-8")
    assert code == 0, errors
    assert "which no choice saw" in said
    assert f"minnow train {out}/rows/train.jsonl.gz --test {out}/rows/test.jsonl.gz" in report
    assert report.count("\n| ") == 1 + len({t.key[0] for t in read_trials(out)})
    assert (out / "tune.png").read_bytes().startswith(b"\x89PNG")
    assert "next: minnow export" in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--minutes", "0"), "wanted minutes, more than 0"),
        (("--minutes", "-3"), "wanted minutes, more than 0"),
        (("--minutes", "nan"), "wanted minutes, more than 0"),
        (("--minutes", "inf"), "wanted minutes, more than 0"),
        (("--minutes", "soon"), "is not a valid float"),
        (("--minutes", "1", "--max-size", "big"), "is no size"),
        (("--minutes", "1", "--max-size", "-1MB"), "is no size"),
        (("--minutes", "1", "--max-latency-ms", "0"), "wanted milliseconds, more than 0"),
        (("--minutes", "1", "--max-latency-ms", "nan"), "wanted milliseconds, more than 0"),
        (("--minutes", "1", "--jobs", "0"), "0 is not in the range"),
        (("--minutes", "1", "--max-trials", "0"), "0 is not in the range"),
        (("--minutes", "1", "--metric", "beauty"), "--metric is beauty, wanted one of the task"),
        (("--minutes", "1", "--metric", "mae"), "--metric is mae, wanted one of the task"),
        (("--minutes", "1", "--task", "poetry"), "is no task"),
        (("--minutes", "1", "--test", "nowhere.csv"), "no such file"),
    ],
)
@pytest.mark.slow
def test_hostile_options_are_told_in_one_line(data, tmp_path, options, message):
    code, _, errors = finish(data, "--out", tmp_path / "out", *options)

    assert code in (1, 2)
    assert message in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()
