import io
import json

import pytest

from minnow.cli import main


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


def test_json_is_the_answer_of_the_http_service(tiny_bundle, capsys):
    assert main(["predict", "--json", "--bundle", str(tiny_bundle), "good"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["model"]["name"] == "tiny"
    assert answer["predictions"][0]["label"] == "pos"


@pytest.mark.parametrize("content", ["", "{", '{"a": 1'])
def test_an_event_that_is_no_json_is_one_line(content, tmp_path, capsys):
    path = tmp_path / "event.json"
    path.write_text(content)

    assert main(["invoke", str(path)]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"minnow: {path}: not JSON (")
    assert error.count("\n") == 1


def test_an_event_may_stand_behind_a_byte_order_mark(tiny_bundle, tmp_path, monkeypatch, capsys):
    path = tmp_path / "event.json"
    path.write_bytes(b'\xef\xbb\xbf{"text": "good"}')
    monkeypatch.setenv("MINNOW_BUNDLE", str(tiny_bundle))

    assert main(["invoke", str(path)]) == 0

    assert json.loads(capsys.readouterr().out)["predictions"][0]["score"] > 0.5
