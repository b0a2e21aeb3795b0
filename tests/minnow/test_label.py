"""`minnow label` as it is typed: what it prints, what a kill costs, and that no key is told."""

import json
import os
import signal
import sys
import time

import pytest

from minnow.cli import main
from tests.helpers import kills
from tests.helpers.chat_server import KEY, chat_server, completion
from training.rows.readers import read_dataset

SECRET = "nobody may see this"
HEAD = ["--labels", "pos,neg", "--quiet"]


def write_texts(path, num):
    path.write_text("".join(["text\n", *(f"good {number}\n" for number in range(num))]))
    return path


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_it_says_what_became_of_the_rows_and_what_training_reads(tmp_path, capsys, environment):
    path, out = write_texts(tmp_path / "in.csv", 3), tmp_path / "out.csv"
    with chat_server() as server:
        chat = ["--with", f"openai:{server.url}", "--model", "tiny", "--agree", str(out)]
        out.write_text("text,label\ngood 1,pos\ngood 2,neg\n")
        code = main(["label", str(path), *HEAD, *chat, "--out", str(tmp_path / "new.csv")])

    told = capsys.readouterr()
    assert (code, told.err) == (0, "")
    first, second = told.out.splitlines()
    assert first == f"{tmp_path / 'new.csv'}\t3 rows, 3 labelled, 3 texts asked for"
    assert second.startswith(f"{out}\tagreement on 2 of 2 rows: accuracy 0.5000 (95 %: ")
    assert read_dataset(tmp_path / "new.csv").labels == ["pos"] * 3
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


def test_rows_without_an_answer_are_told_and_the_exit_status_says_so(tmp_path, capsys, environment):
    path, out = write_texts(tmp_path / "in.csv", 3), tmp_path / "out.csv"
    with chat_server() as server:
        server.answer = lambda text, document: (
            200,
            completion(SECRET if text == "good 1" else "pos"),
            {},
        )
        chat = ["--with", f"openai:{server.url}", "--model", "tiny", "--retries", "0", "--json"]
        code = main(["label", str(path), *HEAD, *chat, "--out", str(out)])

    told = capsys.readouterr()
    assert code == 1
    document = json.loads(told.out)
    assert (document["rows"], document["labelled"]) == (3, 2)
    assert document["failed"] == {"the answer is no known label": [2]}
    assert told.err == (
        f"minnow: {out}: 1 row has no label: the answer is no known label (row 2). They are left "
        "out; the same command asks for them again.\n"
    )
    assert len(read_dataset(out)) == 2


@pytest.mark.parametrize("status", [401, 500, 302])
def test_no_key_and_no_text_is_told_or_kept(status, tmp_path, capfd, environment):
    path = tmp_path / "in.csv"
    path.write_text(f"text\n{SECRET}\n")
    with chat_server() as server:
        echo = {"error": {"message": f"{KEY} {SECRET}", "code": KEY}}
        server.answer = lambda text, document: (status, echo, {"Location": f"/{KEY}"})
        chat = ["--with", f"openai:{server.url}", "--model", "tiny", "--retries", "0"]
        code = main(["label", str(path), *HEAD, *chat, "--out", str(tmp_path / "out.csv")])

    told = capfd.readouterr()
    kept = [file.read_text() for file in tmp_path.iterdir() if file != path]
    assert code == 1
    for content in (told.out, told.err, *kept):
        assert KEY not in content
        assert SECRET not in content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "openai:http://h/v1"], "openai:URL needs --model NAME (see minnow label"),
        (["--with", "cat", "--model", "m"], "--model is for --with openai:URL, not for a command"),
        (["--with", "cat", "--labels", "pos"], "wanted two different names or more, commas"),
        (["--with", "openai:h", "--model", "m"], "what follows openai: is no URL, wanted one such"),
        (
            ["--with", "openai:http://h", "--model", "m", "--batch-size", "9"],
            "asks for one text at a time, without --batch-size",
        ),
        (
            ["--with", "openai:http://h", "--model", "m", "--key-env", "NOT_SET_ANYWHERE"],
            "NOT_SET_ANYWHERE: is not set in the environment. Set it to the key.",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_read(arguments, message, capsys):
    code = main(["label", "no.csv", "--labels", "pos,neg", "--out", "no/out.csv", *arguments])

    assert code in (1, 2)
    assert message in capsys.readouterr().err
    assert not os.path.exists("no")


def count_answers(path):
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def wait_for_answers(path, num, process):
    deadline = time.monotonic() + 60
    while count_answers(path) < num:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_was_paid_for_before_a_kill_is_not_asked_again(number, tmp_path, environment):
    path, out = write_texts(tmp_path / "in.csv", 60), tmp_path / "out.csv"
    answers = tmp_path / "out.csv.answers"
    with chat_server() as server:
        well = server.answer
        server.answer = lambda text, document: (time.sleep(0.05), well(text, document))[1]
        chat = ["--with", f"openai:{server.url}", "--model", "tiny", "--concurrency", "2"]
        process = kills.start("label", path, *HEAD, *chat, "--out", out)
        wait_for_answers(answers, 8, process)
        os.kill(process.pid, number)
        process.communicate(timeout=60)
        assert not out.exists()
        kept = count_answers(answers)
        num_asked = len(server.asked)

        code, told = kills.run("label", path, *HEAD, *chat, "--out", out)

    assert (code, told) == (0, "")
    # A kill may lose what was on its way; after a signal that can be heard nothing is lost.
    assert num_asked - kept <= (2 if number == signal.SIGKILL else 0)
    assert len(server.asked) == num_asked + 60 - kept
    assert len(read_dataset(out)) == 60


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_with_the_run(number, tmp_path):
    mark = tmp_path / "ended"
    script = tmp_path / "ask.sh"
    script.write_text(f"echo $$ > {tmp_path / 'pid'}; sleep 5; touch {mark}\n")
    path = write_texts(tmp_path / "in.csv", 3)
    arguments = [*HEAD, "--with", f"sh {script}", "--out", tmp_path / "out.csv"]
    process = kills.start("label", path, *arguments)
    while not (tmp_path / "pid").exists():
        assert process.poll() is None
        time.sleep(0.01)

    os.kill(process.pid, number)
    process.communicate(timeout=60)

    pid = int((tmp_path / "pid").read_text() or "0")
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not mark.exists()


def test_the_output_of_a_command_is_what_label_columns_of_training_would_be(tmp_path, capsys):
    script = tmp_path / "ask.py"
    script.write_text(
        'import sys\nfor line in sys.stdin: print(\'{"probabilities": {"pos": 0.7, "neg": 0.3}}\')'
    )
    path, out = write_texts(tmp_path / "in.csv", 4), tmp_path / "out.csv"

    code = main(
        ["label", str(path), *HEAD, "--with", f"{sys.executable} {script}", "--out", str(out)]
    )

    assert code == 0
    assert [label.probabilities for label in read_dataset(out).labels] == [
        {"pos": 0.7, "neg": 0.3}
    ] * 4
