import io
import json
import subprocess
import sys

import pytest

from minnow.cli import main
from minnow.commands.predict import is_path


def test_texts_are_answered_one_a_line(tiny_bundle, capsys):
    texts = ["good film", "zebra", "bad " * 9]

    assert main(["predict", "--bundle", str(tiny_bundle), *texts]) == 0

    assert capsys.readouterr().out == (
        "pos\t0.8808\npos\t0.5000  (no known words)\nneg\t1.0000  (truncated)\n"
    )


def test_a_first_text_that_is_a_bundle_names_it(tiny_bundle, capsys):
    assert main(["predict", str(tiny_bundle), "bad"]) == 0

    assert capsys.readouterr().out == "neg\t0.8808\n"


def test_lines_of_standard_input_are_texts(tiny_bundle, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("good\nbad\n"))

    assert main(["predict", "--bundle", str(tiny_bundle)]) == 0

    assert capsys.readouterr().out == "pos\t0.8808\nneg\t0.8808\n"


def test_json_is_one_prediction_of_the_http_service_a_line(tiny_bundle, capsys):
    assert main(["predict", "--json", "--bundle", str(tiny_bundle), "good", "bad"]) == 0

    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["label"] for answer in answers] == ["pos", "neg"]
    assert list(answers[0]) == ["label", "score", "scores", "truncated", "known_tokens"]


@pytest.mark.parametrize("content", ["", "{", '{"a": 1', "[" * 200_000])
def test_an_event_that_is_no_json_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "event.json"
    path.write_text(content)

    assert main(["invoke", str(path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"minnow: {path}: not JSON")
    assert error.count("\n") == 1


def test_an_event_may_stand_behind_a_byte_order_mark(tiny_bundle, tmp_path, monkeypatch, capsys):
    path = tmp_path / "event.json"
    path.write_bytes(b'\xef\xbb\xbf{"text": "good"}')
    monkeypatch.setenv("MINNOW_BUNDLE", str(tiny_bundle))
    # Another test may have left the function there, which read its bundle when it was imported.
    monkeypatch.delitem(sys.modules, "handler.function", raising=False)

    assert main(["invoke", str(path)]) == 0

    assert json.loads(capsys.readouterr().out)["predictions"][0]["score"] > 0.5


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("folder", "folder/manifest.json: no such file"),
        ("run", "run: is a run, wanted a bundle. Make one of it: minnow export run --out BUNDLE"),
        ("rows.csv", "rows.csv: is a file, wanted a bundle's folder"),
        ("no/where", "no/where: no such folder, wanted a bundle"),
        ("nowhere/", "nowhere: no such folder, wanted a bundle"),
        ("other.csv", "other.csv: no such folder, wanted a bundle"),
        (".", "manifest.json: no such file"),
    ],
)
def test_a_first_text_that_is_a_path_is_a_bundle_or_an_error(
    path, message, tmp_path, monkeypatch, capsys
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metadata.json").write_text("{}")
    (tmp_path / "rows.csv").touch()
    monkeypatch.chdir(tmp_path)

    assert main(["predict", path, "good"]) == 1

    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    ["10/10", "7.5/10", "https://example.com/a", "Dull.", "so/so it was", "great..."],
)
def test_a_text_is_no_path(text):
    assert not is_path(text)


def test_the_model_that_comes_with_minnow_is_named(monkeypatch, capsys, tiny_bundle):
    monkeypatch.setattr("handler.settings.DEFAULT_BUNDLE", tiny_bundle)

    assert main(["predict", "good"]) == 0

    assert capsys.readouterr().err == (
        "minnow: by the film reviews model that comes with Minnow; --bundle names another\n"
    )


def test_a_line_is_answered_before_the_next_one_comes(tiny_bundle):
    process = subprocess.Popen(
        [sys.executable, "-m", "minnow", "predict", str(tiny_bundle), "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        labels = []
        for text in (b"good\r\n", b"bad\n"):
            process.stdin.write(text)
            process.stdin.flush()
            labels.append(json.loads(process.stdout.readline())["label"])
        process.stdin.close()

    assert labels == ["pos", "neg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty, wanted one text a line"),
        (b"good\n\xff\n", "standard input: line 2 is not UTF-8 at byte 0."),
    ],
)
def test_standard_input_that_holds_no_texts_is_one_line(
    content, message, tiny_bundle, monkeypatch, capsys
):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert main(["predict", str(tiny_bundle)]) == 1

    assert capsys.readouterr().err.startswith(f"minnow: {message}")


@pytest.mark.parametrize(
    ("flags", "output"),
    [
        (["--top-k", "2"], "pos\t0.8808\tneg\t0.1192\n"),
        (["--threshold", "0.9"], "(none of 0.9 or more)\n"),
        (["--threshold", "0.1", "--top-k", "9"], "pos\t0.8808\tneg\t0.1192\n"),
        (["--explain"], "pos\t0.8808\n  +0.3808\tgood\n"),
    ],
)
def test_options_of_an_answer_are_those_of_http(flags, output, tiny_bundle, capsys):
    assert main(["predict", str(tiny_bundle), "good", *flags]) == 0

    assert capsys.readouterr().out == output
