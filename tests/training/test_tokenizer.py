import json

import pytest

from handler.errors import ArtefactError
from handler.inference.tokenizer import BLANK, MAX_WORD_LETTERS, PAD, UNKNOWN
from training.tokenizer import (
    PAD_ID,
    UNKNOWN_ID,
    encode_texts,
    format_tokenizer,
    parse_tokenizer,
    train_tokenizer,
)

WORDS = ["a", "great", "film", ".", "好", BLANK, "看", "café"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([" ".join(WORDS)] * 2, vocab_size=50, max_length=8)


def test_docstring_example(tokenizer):
    words, _ = tokenizer.split("A GREAT film.<br />好看")

    assert words == ["a", "great", "film", ".", "好", "看"]
    assert UNKNOWN_ID not in tokenizer.encode("A GREAT film.<br />好看").ids


def test_padding_and_unknown_have_the_first_ids(tokenizer):
    assert tokenizer.word_ids[PAD] == PAD_ID == 0
    assert tokenizer.word_ids[UNKNOWN] == UNKNOWN_ID == 1
    assert len(tokenizer.word_ids) == len(WORDS) + 2


def test_most_frequent_words_are_kept_where_there_are_too_many():
    texts = ["often often often", "twice twice", "rare rare", "often once"]

    small = train_tokenizer(texts, vocab_size=3, max_length=8)
    large = train_tokenizer(texts, vocab_size=50, max_length=8)

    assert small.word_ids == {PAD: 0, UNKNOWN: 1, "often": 2}
    assert set(large.word_ids) == {PAD, UNKNOWN, "often", "twice", "rare", "once"}


def test_words_beyond_max_length_are_not_counted():
    tokenizer = train_tokenizer(["a a late late"], vocab_size=50, max_length=2)

    assert tokenizer.word_ids == {PAD: 0, UNKNOWN: 1, "a": 2}


def test_a_word_of_too_many_letters_is_none():
    kept, left_out = "k" * MAX_WORD_LETTERS, "l" * (MAX_WORD_LETTERS + 1)

    tokenizer = train_tokenizer([f"{kept} {left_out}"] * 2, vocab_size=50, max_length=8)

    assert tokenizer.word_ids == {PAD: 0, UNKNOWN: 1, kept: 2}


def test_ids_follow_the_alphabet_whatever_the_frequency():
    texts = ["b b b", "c c", "a a a a", "ä ä"]

    tokenizer = train_tokenizer(texts, vocab_size=50, max_length=8)

    assert tokenizer.word_ids == {PAD: 0, UNKNOWN: 1, "a": 2, "b": 3, "c": 4, "ä": 5}


def test_same_texts_give_the_same_tokenizer():
    texts = [f"{word} {word} b c d" for word in "zyxwvu"] * 2

    first, again = (format_tokenizer(train_tokenizer(texts, 50, 8)) for _ in range(2))

    assert first == again


def test_encoded_texts_are_not_padded(tokenizer):
    film = tokenizer.word_ids["film"]

    assert encode_texts(tokenizer, ["film film", "", "🎬"]) == [[film, film], [], [UNKNOWN_ID]]


def test_a_run_keeps_the_whole_tokenizer(tokenizer):
    text = "A great café 好看 🎬 film. More"

    again = parse_tokenizer(format_tokenizer(tokenizer), 8)

    assert again.word_ids == tokenizer.word_ids
    assert again.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": "words-0"}, "rules is 'words-0', wanted 'words-2'"),
        ({"words": ["a", PAD, UNKNOWN]}, r"words do not begin with \[PAD\] and \[UNK\]"),
        ({"words": [PAD, UNKNOWN, "a", "a"]}, "or hold one twice"),
        (
            {"words": [PAD, UNKNOWN, "a b"]},
            r"words\[2\] is no text, empty, or has white space in it",
        ),
        ({"words": [PAD, UNKNOWN, "a\t"]}, r"words\[2\] is no text"),
        ({"words": [PAD, UNKNOWN, ""]}, r"words\[2\] is no text"),
        ({"words": [PAD, UNKNOWN, 5]}, r"words\[2\] is no text"),
        ({"words": [PAD, UNKNOWN, "\ud800"]}, "holds half a surrogate pair, wanted Unicode text"),
        (
            {"words": {PAD: 0, UNKNOWN: 1}},
            "words is an object of 2 fields, wanted an array of 2 to",
        ),
        ({"other": 1}, "it has the field 'other', wanted rules, letters, characters, words"),
        (
            {"characters": {"unicode": "14.0", "kinds": "w", "lengths": "1"}},
            "characters.lengths are 1 numbers with a sum of 1, wanted 1, as there are kinds, and "
            "1,114,112",
        ),
        (
            {"characters": {"unicode": "14.0", "kinds": "x", "lengths": "110000"}},
            "characters.kinds is 'x', wanted letters of wcmsubji",
        ),
    ],
)
def test_other_rules_words_and_characters_are_refused(tokenizer, change, message):
    document = json.loads(format_tokenizer(tokenizer)) | change

    with pytest.raises(ArtefactError, match=message):
        parse_tokenizer(json.dumps(document).encode(), 8)
