import gzip
import json

import numpy as np
import pytest

from export.tokenizer_file import keep_words, map_words, pack_tokenizer, read_words
from handler.errors import ArtefactError
from handler.inference.bundle import read_bundle
from handler.inference.tokenizer import PAD, UNKNOWN
from handler.inference.tokenizer_file import unpack_tokenizer
from training.tokenizer import format_tokenizer, make_tokenizer

WORDS = ["film", "films", "filmed", "x" * 50, "x" * 60, '"', "\\", "0", "好", "é", "🎬"]


def make_file(words: list[str]) -> bytes:
    return format_tokenizer(make_tokenizer([PAD, UNKNOWN, *words], max_length=8))


@pytest.mark.parametrize("order", [1, -1])
def test_packed_tokenizer_is_the_tokenizer(tiny_bundle, order):
    words = [PAD, UNKNOWN, *WORDS[::order]]
    tokenizer = make_tokenizer(words, max_length=8)
    manifest = read_bundle(tiny_bundle).manifest

    packed = unpack_tokenizer(pack_tokenizer(format_tokenizer(tokenizer)), manifest)

    assert packed.word_ids == {word: word_id for word_id, word in enumerate(words)}
    text = 'Films "filmed" 好é🎬 0 unknown'
    assert packed.encode(text) == tokenizer.encode(text)
    assert packed.max_length == 8


def test_sorted_words_are_stored_in_a_third_of_their_json():
    words = [f"{stem}{ending}" for stem in ("play", "work", "talk") for ending in range(600)]
    content = make_file(sorted(words))

    assert len(pack_tokenizer(content)) < len(content) / 3


def test_kept_words_are_numbered_anew_and_the_others_are_unknown():
    old = make_file(["a", "b", "c"])

    new = keep_words(old, np.array([0, 1, 2, 4]))

    assert read_words(new) == [PAD, UNKNOWN, "a", "c"]
    assert map_words(old, new).tolist() == [0, 1, 2, 1, 3]


def test_other_rules_are_refused():
    content = make_file(["a"]).replace(b"words-2", b"words-0")

    with pytest.raises(ArtefactError, match="rules is 'words-0', wanted 'words-2'"):
        pack_tokenizer(content)


def test_packed_file_is_gzip_of_one_json_object():
    packed = pack_tokenizer(make_file(["film", "films"]))

    document = json.loads(gzip.decompress(packed))
    assert document["rules"] == "words-2"
    assert document["words"] == {"shared": "0104", "endings": "[PAD] UNK] film s"}
