"""Texts without labels: how they are read, and what words are learned of them."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from handler.rows.options import ReadOptions
from tests.helpers.opinions import BAD, GOOD, write_opinions
from training.errors import DataError
from training.fitting.encoded import add_unlabelled, encode_split
from training.linear.plan import choose_plan, find_planned
from training.linear.weights import fit_linear
from training.resuming.stages import Stages
from training.rows.columns import Columns
from training.rows.data import Sources, read_sources
from training.rows.unlabelled import find_words, read_unlabelled
from training.settings import Settings


@pytest.fixture
def rows(tmp_path) -> Path:
    return write_opinions(tmp_path / "rows.csv")


@pytest.fixture
def others(tmp_path) -> Path:
    """Texts in which the words of a side stand together."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(300):
        words, company = (GOOD, "warm bright kind") if random.random() < 0.5 else (BAD, "cold dark")
        lines.append(" ".join([*random.choice(words, 3), *random.choice(company.split(), 3)]))
    path = tmp_path / "others.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path, columns=None, labelled=()) -> list[str]:
    return read_unlabelled(path, columns or Columns(), labelled).texts


def encode(rows: Path, others: Path, tmp_path: Path):
    data = read_sources(Sources(rows, unlabelled=others))
    tokenizer, train, _ = encode_split(
        data, data.split(0.1, seed=0), Settings("wide_deep"), tmp_path / "tokenizer.json"
    )
    stages = Stages(tmp_path / "stages")
    return tokenizer, add_unlabelled(train, data.unlabelled.texts, tokenizer, 0, stages), data


def test_words_that_no_labelled_text_has_are_told_by_their_company(rows, others, tmp_path):
    tokenizer, train, data = encode(rows, others, tmp_path)

    assert {*GOOD, *BAD} < set(tokenizer.word_ids)
    assert train.vectors.shape[0] == len(tokenizer.word_ids)
    assert len(train.unlabelled) == len(data.unlabelled.texts)

    plan = choose_plan(train, data.objective, 0)
    assert plan.vectors
    weights = fit_linear(
        find_planned(train, plan), data.objective.logit_targets(train.targets), plan, 0
    )
    sides = train.vectors @ weights.blocks["vectors"]
    # The label that is second by name.
    assert all(sides[tokenizer.word_ids[word], 0] > 0 for word in GOOD[2:])
    assert all(sides[tokenizer.word_ids[word], 0] < 0 for word in BAD[2:])


def test_vectors_are_learned_once(rows, others, tmp_path, monkeypatch):
    _, first, _ = encode(rows, others, tmp_path)
    monkeypatch.setattr("training.fitting.encoded.learn_word_vectors", None)

    _, second, _ = encode(rows, others, tmp_path)

    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_array_equal(first.start, second.start)


def test_words_are_those_that_are_frequent(tmp_path, rows, others):
    tokenizer, _, _ = encode(rows, others, tmp_path)
    texts = ["seldom"] * 4 + ["often good"] * 5 + ["always"] * 6

    assert find_words(texts, tokenizer, 10) == ["always", "often"]
    assert find_words(texts, tokenizer, 1) == ["always"]


def test_each_text_is_kept_once_and_no_labelled_one(tmp_path):
    path = tmp_path / "others.csv"
    path.write_text('text,n\nfirst,1\nknown,2\nfirst,3\n"  ",4\nsecond,5\n')

    found = read_unlabelled(path, Columns(), {"known"})

    assert found.texts == ["first", "second"]
    assert found.format() == (
        f"unlabelled: {path}, 2 of 5 texts, 1 empty, 1 among the labelled texts, 1 repeated"
    )
    assert found.describe()["rows"] == 5


def test_the_hash_is_of_all_that_was_read(tmp_path):
    path = tmp_path / "others.txt"
    path.write_text("one\ntwo\n")
    before = read_unlabelled(path, Columns(), set()).sha256
    path.write_text("one\nthree\n")

    assert read_unlabelled(path, Columns(), set()).sha256 != before


def test_every_format_is_read(tmp_path):
    texts = ["one text", "zwei, Texte"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("\n".join(texts) + "\n")
    (tmp_path / "c.csv").write_bytes('review\none text\n"zwei, Texte"\n'.encode("utf-16"))
    folder = tmp_path / "texts"
    (folder / "inner").mkdir(parents=True)
    (folder / "1.txt").write_text(texts[0])
    (folder / "inner" / "2.TXT").write_text(texts[1])
    (folder / "notes.pdf").write_bytes(b"%PDF")

    for name in ("a.jsonl", "b.txt.gz", "c.csv", "texts"):
        assert read(tmp_path / name) == texts, name


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("others.csv", b"n\nx\n", "no column 'text'"),
        ("others.csv", b"", "the file is empty"),
        ("others.csv", b"text\n\xff\xfe\xfa broken\n", "UTF-8"),
        ("others.pdf", b"x", "unknown format"),
        ("others.csv", b"text,label\nknown,pos\n", "no text that is not labelled already, of 1"),
        ("others.jsonl", b'{"text": 7}\n', "row 1: column 'text' is int, wanted a text"),
        ("others.jsonl", b'{"text": "a"}\n{broken\n', "row 2"),
    ],
)
def test_what_cannot_be_read_is_told(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    # What is set is not guessed.
    columns = Columns(options=ReadOptions(encoding="utf-8"))

    with pytest.raises(DataError, match=message) as caught:
        read(path, columns, {"known"})

    assert str(path) in str(caught.value)
    assert "broken" not in str(caught.value)


def test_a_folder_without_texts_and_a_missing_file_are_told(tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="no text in this folder"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone.csv")
