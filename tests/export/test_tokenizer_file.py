import gzip
import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from export.errors import ExportError
from export.tokenizer_file import keep_words, map_words, pack_tokenizer
from handler.inference.classifier import make_tokenizer
from handler.inference.tokenizer import unpack_tokenizer
from training.tokenizer import train_tokenizer

WORDS = ["film", "films", "filmed", "x" * 60, "x" * 70, '"', "\\", "0", "好看", "é", "🎬"]


@pytest.mark.parametrize("order", [1, -1])
def test_packed_tokenizer_is_the_tokenizer(order):
    tokenizer = train_tokenizer([" ".join(WORDS)] * 2, vocab_size=50, max_length=8)
    words = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    words = words[:2] + words[2:][::order]
    tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]")

    packed = pack_tokenizer(tokenizer.to_str().encode())

    assert make_tokenizer(*unpack_tokenizer(packed)).to_str() == tokenizer.to_str()
    assert unpack_tokenizer(packed)[1] == tokenizer.get_vocab()


def test_sorted_words_are_stored_in_a_third_of_their_json():
    words = [f"{stem}{ending}" for stem in ("play", "work", "talk") for ending in range(300)]
    tokenizer = train_tokenizer([" ".join(words)] * 2, vocab_size=1000, max_length=8)
    content = tokenizer.to_str().encode()

    assert len(pack_tokenizer(content)) < len(content) / 3


def test_kept_words_are_numbered_anew_and_the_others_are_unknown():
    old = word_level({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3, "c": 4})

    new = keep_words(old, np.array([0, 1, 2, 4]))

    assert Tokenizer.from_buffer(new).get_vocab() == {"[PAD]": 0, "[UNK]": 1, "a": 2, "c": 3}
    assert Tokenizer.from_buffer(new).encode("b c a").ids == [1, 3, 2]
    assert map_words(old, new, unknown_id=1).tolist() == [0, 1, 2, 1, 3]


def word_level(vocab: dict[str, int]) -> bytes:
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str().encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (word_level({"[UNK]": 0, "a b": 1}), "1 words hold a space and 0 ids are missing"),
        (word_level({"[UNK]": 0, "a": 2}), "0 words hold a space and 1 ids are missing"),
        (Tokenizer(models.BPE()).to_str().encode(), "its model is BPE, wanted WordLevel"),
    ],
)
def test_other_vocabulary_is_refused(content, message):
    with pytest.raises(ExportError, match=message):
        pack_tokenizer(content)


def test_packed_file_is_gzip_of_one_json_object():
    packed = pack_tokenizer(word_level({"[UNK]": 0, "film": 1, "films": 2}))

    document = json.loads(gzip.decompress(packed))
    assert document["words"] == {"shared": "004", "endings": "[UNK] film s"}
    assert document["tokenizer"]["model"]["vocab"] == {}
