"""Static embedding models: whole words of each kind of vocabulary, tensors of each type, damage."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.vector_files import format_tensors, write_static_model
from training.errors import DataError
from training.vectors.pieces import MAX_BYTES
from training.vectors.reader import read_word_vectors
from training.vectors.selection import WordVectors

TABLE = (np.arange(40, dtype=np.float32).reshape(10, 4) - 20) / 8
F32 = {"embeddings": ("F32", TABLE)}


def read(path: Path) -> WordVectors:
    return read_word_vectors(path, lambda word: True, 100)


def number(pieces: list[str]) -> dict[str, int]:
    return {piece: piece_id for piece_id, piece in enumerate(pieces)}


def test_wordpiece_gives_what_does_not_go_on_with_a_word(tmp_path):
    pieces = ["[PAD]", "the", "##s", "Film", "!", "好", "##ing", "n", "film"]
    folder = write_static_model(
        tmp_path, number(pieces), F32, type="WordPiece", continuing_subword_prefix="##"
    )

    found = read(folder)

    assert found.words == ["the", "film", "!", "好", "n"]
    np.testing.assert_array_equal(found.vectors, TABLE[[1, 3, 4, 5, 7]])


def test_unigram_gives_what_begins_a_word_and_signs(tmp_path):
    pieces = ["[PAD]", "▁the", "s", "▁Film", "!", "好", "ing", "▁", "film", "▁a"]
    folder = write_static_model(
        tmp_path, [[piece, -1.5] for piece in pieces], F32, type="Unigram", unk_id=0
    )

    found = read(folder)

    assert found.words == ["the", "film", "!", "好", "a"]
    np.testing.assert_array_equal(found.vectors, TABLE[[1, 3, 4, 5, 9]])


def test_bpe_of_bytes_is_decoded(tmp_path):
    pieces = ["[PAD]", "Ġthe", "s", "ĠFilm", "!", "ĠcafÃ©", "ing", "Ġ", "film", "Ġå¥½"]
    folder = write_static_model(tmp_path, number(pieces), F32, type="BPE")

    found = read(folder)

    assert found.words == ["the", "film", "!", "café", "好"]
    np.testing.assert_array_equal(found.vectors, TABLE[[1, 3, 4, 5, 9]])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("F64", TABLE.astype("<f8")),
        ("F32", TABLE),
        ("F16", TABLE.astype("<f2")),
        ("BF16", (TABLE.view(np.uint32) >> 16).astype("<u2")),
        ("I8", (TABLE * 8).astype(np.int8)),
    ],
)
def test_every_type_is_read(tmp_path, kind, values):
    folder = write_static_model(tmp_path, number(["a", "b", "c"]), {"embeddings": (kind, values)})

    found = read(folder)

    assert found.words == ["b", "c"]
    np.testing.assert_array_equal(found.vectors, TABLE[1:3] * (8 if kind == "I8" else 1))


def test_the_folder_of_sentence_transformers_is_read(tmp_path):
    write_static_model(
        tmp_path / "0_StaticEmbedding", number(["a", "b"]), {"embedding.weight": ("F32", TABLE)}
    )

    np.testing.assert_array_equal(read(tmp_path).vectors, TABLE[1:2])


def test_rows_in_clusters_have_their_weights(tmp_path):
    mapping = np.array([9, 5, 5], np.int64)
    weights = np.array([[1.0], [2.0], [0.5]])
    folder = write_static_model(
        tmp_path, number(["a", "b", "c"]), F32 | {"mapping": ("I64", mapping)}
    )
    np.testing.assert_array_equal(read(folder).vectors, TABLE[[5, 5]])

    tensors = F32 | {"mapping": ("I64", mapping), "weights": ("F64", weights)}
    write_static_model(tmp_path, number(["a", "b", "c"]), tensors)

    np.testing.assert_array_equal(read(folder).vectors, TABLE[[5, 5]] * [[2.0], [0.5]])


def header(**fields: object) -> bytes:
    tensor = {"dtype": "F32", "shape": [10, 4], "data_offsets": [0, 160]} | fields
    text = json.dumps({"embeddings": tensor}).encode()
    return len(text).to_bytes(8, "little") + text + TABLE.tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(shape=[2**60, 4]), "does not fill bytes"),
        (header(shape=[2**60, 4], data_offsets=[0, 2**64]), "does not fill bytes"),
        (header(shape=[10, 2**60]), "does not fill bytes"),
        (header(data_offsets=[160, 0]), "does not fill bytes"),
        (header(data_offsets=[16, 176]), "does not fill bytes"),
        (header(data_offsets=[-8, 152]), "no shape or data_offsets"),
        (header(data_offsets=[0]), "no shape or data_offsets"),
        (header(shape="10"), "no shape or data_offsets"),
        (header(shape=[10, 4.0]), "no shape or data_offsets"),
        (header(shape=[True, 40]), "no shape or data_offsets"),
        (header(shape=[40]), "wanted two axes"),
        (header(shape=[40, 1]), "says 1 dimensions"),
        (header(shape=[0, 4], data_offsets=[0, 0]), "holds nothing"),
        (header(dtype="F4"), "has no type of F64"),
        (header(dtype=["F32"]), "has no type of F64"),
        (header()[:-1], "does not fill bytes"),
        (header()[:60], "say a header of"),
        ((1 << 39).to_bytes(8, "little") + b"{}", "say a header of 549,755,813,888 bytes"),
        ((4).to_bytes(8, "little") + b"{{{{", "its header is no JSON"),
        ((3).to_bytes(8, "little") + b"{\xff}", "its header is no JSON"),
        (b"\x40\x42\x0f\0\0\0\0\0" + b'{"a":' * 200_000, "its header is no JSON"),
        (format_tensors({"weight": ("F32", TABLE)}), "no tensor embeddings or embedding.weight"),
        (format_tensors({"embeddings": ("F32", TABLE * np.float32(np.nan))}), "row 1 has values"),
        (format_tensors({"embeddings": ("F32", TABLE[:1])}), "has 1 rows, and tokenizer.json"),
        (format_tensors(F32 | {"mapping": ("I64", np.array([0]))}), "has 1 rows"),
        (format_tensors(F32 | {"mapping": ("I64", np.array([0, 10]))}), "points at row 10"),
        (format_tensors(F32 | {"mapping": ("I64", np.array([0, -1]))}), "points at row -1"),
        (format_tensors(F32 | {"weights": ("F32", TABLE[0, :1])}), "has 1 rows"),
    ],
)
def test_damaged_tensors_are_refused(tmp_path, content, message):
    folder = write_static_model(tmp_path, number(["a", "b"]), F32)
    (folder / "model.safetensors").write_bytes(content)

    with pytest.raises(DataError, match=message):
        read(folder / "model.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"model": 1}',
        '{"model": {"vocab": 1}}',
        '{"model": {"vocab": {"a": "1"}}}',
        '{"model": {"vocab": {"a": -1}}}',
        '{"model": {"vocab": {"a": true}}}',
        '{"model": {"vocab": [1, 2]}}',
        '{"model": {"vocab": [[1, 2]]}}',
        '{"model": {"vocab": [[[], 2]]}}',
        '{"model": {"vocab": {"a": 1}, "continuing_subword_prefix": 1}}',
        '{"model": {"vocab": {"a": 1}}, "added_tokens": [1]}',
        '{"model": {"vocab": {"a": 1}}, "added_tokens": [{"id": [], "special": true}]}',
        "[" * 200_000,
        "\udcff",
    ],
)
def test_a_damaged_vocabulary_is_refused(tmp_path, content):
    folder = write_static_model(tmp_path, number(["a", "b"]), F32)
    (folder / "tokenizer.json").write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(DataError, match=r"tokenizer\.json: is no tokenizer\.json of Hugging Face"):
        read(folder)


def test_a_vocabulary_without_end_is_refused(tmp_path):
    folder = write_static_model(tmp_path, {}, F32)
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    with pytest.raises(DataError, match="has over 268,435,456 bytes, so it is no tokenizer.json"):
        read(folder)


def test_awkward_pieces_are_passed_over(tmp_path):
    pieces = '{"": 0, "\\ud800": 1, "a b": 2, "b": 3, "c": 99999999999999999999}'
    text = f'{{"model": {{"vocab": {pieces}}}}}'
    folder = write_static_model(tmp_path, {}, F32)
    (folder / "tokenizer.json").write_text(text)

    with pytest.raises(DataError, match="points at row 9,223,372,036,854,775,807"):
        read(folder)
    (folder / "tokenizer.json").write_text(text.replace("9" * 20, "4"))

    assert read(folder).words == ["b", "c"]


def test_a_missing_vocabulary_says_where_words_stand(tmp_path):
    folder = write_static_model(tmp_path, {}, F32)
    (folder / "tokenizer.json").unlink()

    with pytest.raises(DataError, match="cannot be read .* Fetch it too, into the same folder"):
        read(folder)
