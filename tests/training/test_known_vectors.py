"""Vectors that others have learned: which words they bring, and what a model makes of them."""

from pathlib import Path

import numpy as np
import pytest

from handler.inference.tokenizer import PAD, UNKNOWN
from tests.helpers.objectives import single_label
from tests.helpers.opinions import BAD, GOOD, write_opinions
from training.errors import DataError
from training.fitting.encoded import encode_split
from training.linear.plan import choose_plan
from training.linear.weights import fit_linear
from training.rows.data import Sources, read_sources
from training.settings import Settings
from training.vectors.known_vectors import count_extra, place_known, read_known, reduce_known
from training.vectors.selection import WordVectors


@pytest.fixture
def vectors(tmp_path) -> Path:
    """A file in which good words are alike, and bad ones."""
    random = np.random.default_rng(0)
    lines = ["the 0 0 0 0"]
    for words, side in ((GOOD, 1), (BAD, -1)):
        for word in words:
            values = [side * 3.0, *random.normal(size=3)]
            lines.append(" ".join([word, *(f"{value:.4f}" for value in values)]))
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def rows(tmp_path) -> Path:
    return write_opinions(tmp_path / "rows.csv")


def encode(rows: Path, vectors: Path | None, tmp_path: Path):
    data = read_sources(Sources(rows, word_vectors=vectors))
    split = data.split(0.1, seed=0)
    return encode_split(data, split, Settings("wide_deep"), tmp_path / "tokenizer.json")


def test_words_that_no_training_text_has_are_known(rows, vectors, tmp_path):
    tokenizer, train, _ = encode(rows, vectors, tmp_path)

    assert {*GOOD, *BAD, "the"} < set(tokenizer.word_ids)
    assert list(tokenizer.word_ids)[:2] == [PAD, UNKNOWN]
    assert train.vectors.shape == (len(tokenizer.word_ids), 4)
    known = np.abs(train.vectors).max(axis=1) > 0
    assert {word for word, is_known in zip(tokenizer.word_ids, known, strict=True) if is_known} == {
        *GOOD,
        *BAD,
        "the",
    }


def test_a_word_is_told_by_those_that_are_like_it(rows, vectors, tmp_path):
    tokenizer, train, _ = encode(rows, vectors, tmp_path)
    plan = choose_plan(train, single_label(2), 0)
    assert plan.vectors > 0

    from training.linear.plan import find_planned

    features = find_planned(train, plan)
    weights = fit_linear(features, train.targets[:, 1:], plan, 0)

    told = (features.parts["vectors"] @ weights.blocks["vectors"])[:, 0]
    for words, side in ((GOOD, 1), (BAD, -1)):
        ids = [tokenizer.word_ids[word] for word in words]
        assert (side * told[ids] > 0).all()


def test_others_are_bounded_by_the_bytes_that_they_weigh(tmp_path, monkeypatch):
    path = tmp_path / "many.txt"
    path.write_text("".join(f"w{n} {n} 1\n" for n in range(50)))
    monkeypatch.setattr("training.vectors.known_vectors.MAX_BYTES", 10 * (20 + 4))

    known = read_known(path, ["w49", "unknown"], count_extra(4))

    assert known.words == [*(f"w{n}" for n in range(10)), "w49"]


def test_vectors_of_frequent_words_are_held_back():
    known = WordVectors([f"w{n}" for n in range(1_000)], np.eye(1_000, 3, dtype=np.float32) + 1)

    placed = place_known(known, ["w0", "nowhere", "w999"])

    assert not placed[1].any()
    assert 0 < np.abs(placed[0]).max()
    assert placed.dtype == np.float32


def test_words_without_a_vector_stay_zero_in_fewer_dimensions():
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    vectors[[0, 3]] = 0

    reduced = reduce_known(vectors, [[1, 2, 4], [5, 2]], 2)

    assert reduced.shape == (6, 2)
    assert not reduced[[0, 3]].any()
    assert np.abs(reduced[[1, 2, 4, 5]]).max(axis=1).all()


def test_a_missing_file_is_said_before_any_training(rows, tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        read_sources(Sources(rows, word_vectors=tmp_path / "nowhere"))
