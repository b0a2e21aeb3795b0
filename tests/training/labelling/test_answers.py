import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.errors import LabellingError
from training.labelling.answers import Answers, hash_text

LABELS = ["pos", "neg"]
WHO = {"command": "abc"}
SECRET = "nobody may see this"


def fill(path, *texts):
    with Answers(path, LABELS, WHO) as answers:
        answers.add({hash_text(text): (0.75, 0.25) for text in texts})


def read(path):
    with Answers(path, LABELS, WHO) as answers:
        return answers


def test_answers_are_there_again_and_hold_no_text(tmp_path):
    path = tmp_path / "a.answers"
    fill(path, "a", SECRET)

    again = read(path)

    assert len(again) == 2
    assert again.find(hash_text(SECRET)) == (0.75, 0.25)
    assert again.find(hash_text("other")) is None
    assert SECRET not in path.read_text()


@pytest.mark.parametrize("num_bytes", range(1, 90, 11))
def test_a_line_that_a_kill_cut_is_forgotten(num_bytes, tmp_path):
    path = tmp_path / "a.answers"
    fill(path, "a", "b")
    content = path.read_bytes()
    path.write_bytes(content[:-num_bytes])

    with Answers(path, LABELS, WHO) as again:
        again.add({hash_text("b"): (0.5, 0.5)})

    known = read(path)
    assert known.find(hash_text("a")) == (0.75, 0.25)
    assert known.find(hash_text("b")) == (0.5, 0.5)


@pytest.mark.parametrize("num_bytes", [0, 1, 30])
def test_a_first_line_that_a_kill_cut_is_written_anew(num_bytes, tmp_path):
    path = tmp_path / "a.answers"
    fill(path)
    path.write_bytes(path.read_bytes()[:num_bytes])

    fill(path, "a")

    assert len(read(path)) == 1


@pytest.mark.parametrize(
    ("labels", "who", "message"),
    [
        (["pos", "other"], WHO, "holds answers of other labels, which were paid for"),
        (["neg", "pos"], WHO, "holds answers of other labels"),
        (LABELS, {"command": "x"}, "holds answers of another labeller, which were paid for"),
    ],
)
def test_answers_of_somebody_else_are_refused_and_untouched(labels, who, message, tmp_path):
    path = tmp_path / "a.answers"
    fill(path, "a")
    before = path.read_bytes()

    with pytest.raises(LabellingError, match=message):
        Answers(path, labels, who)

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        "text,label",
        "[]",
        "{}",
        '{"text": "zz", "probabilities": [1, 0]}',
        '{"text": "ab", "probabilities": [1]}',
        '{"text": "ab", "probabilities": 3}',
    ],
)
def test_a_file_of_something_else_is_refused_and_untouched(line, tmp_path):
    path = tmp_path / "a.answers"
    fill(path, "a")
    for number, content in ((1, f"{line}\n"), (3, f"{path.read_text()}{line}\n")):
        path.write_text(content)

        with pytest.raises(LabellingError, match=rf"line {number} is none|holds no answers of"):
            read(path)

        assert path.read_text() == content


@pytest.mark.parametrize("content", ["my own notes", '{"format', '{"format_version": 9', "{}"])
def test_a_file_of_one_foreign_line_without_an_end_is_untouched(content, tmp_path):
    path = tmp_path / "a.answers"
    path.write_text(content)
    is_ours = content == '{"format'

    if is_ours:
        assert len(read(path)) == 0
    else:
        with pytest.raises(LabellingError):
            read(path)
        assert path.read_text() == content


def test_threads_add_whole_lines(tmp_path):
    path = tmp_path / "a.answers"

    with Answers(path, LABELS, WHO) as answers, ThreadPoolExecutor(8) as pool:
        for number in range(160):
            pool.submit(answers.add, {hash_text(str(number)): (1.0, 0.0)})

    assert len(path.read_text().splitlines()) == 161
    assert all(map(json.loads, path.read_text().splitlines()))
    assert len(read(path)) == 160
