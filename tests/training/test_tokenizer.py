import pytest

from training.tokenizer import PAD, PAD_ID, UNKNOWN, UNKNOWN_ID, encode_texts, train_tokenizer

WORDS = ["a", "great", "film", ".", "好", "看", "café"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([" ".join(WORDS)] * 2, vocab_size=50, max_length=8)


def tokens(tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text).tokens


def test_docstring_example(tokenizer):
    text = "A GREAT film.<br />好看"

    assert tokens(tokenizer, text) == ["a", "great", "film", ".", "好", "看"]


def test_padding_and_unknown_have_the_first_ids(tokenizer):
    assert tokenizer.token_to_id(PAD) == PAD_ID == 0
    assert tokenizer.token_to_id(UNKNOWN) == UNKNOWN_ID == 1
    assert tokenizer.get_vocab_size() == len(WORDS) + 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\u3000", []),
        ("film", ["film"]),
        ("film<br>film<br/>film<br   />film", ["film"] * 4),
        ("ｆｉｌｍ", ["film"]),  # full width, by NFKC
        ("ﬁlm", ["film"]),  # a ligature, by NFKC
        ("cafe\u0301", ["café"]),  # composed by NFKC, the accent kept
        ("cafe", [UNKNOWN]),
        ("fi\u0000lm", ["film"]),
        ("好film看", ["好", "film", "看"]),
        ("🎬", [UNKNOWN]),
        ("film!", ["film", UNKNOWN]),
    ],
)
def test_text_is_cleaned_and_cut_into_words(tokenizer, text, expected):
    assert tokens(tokenizer, text) == expected


@pytest.mark.parametrize(("num_words", "kept", "is_cut"), [(7, 7, 0), (8, 8, 0), (9, 8, 1)])
def test_text_is_truncated_past_max_length(tokenizer, num_words, kept, is_cut):
    encoding = tokenizer.encode("film " * num_words)

    assert encoding.tokens == ["film"] * kept
    assert bool(encoding.overflowing) is bool(is_cut)


def test_most_frequent_words_are_kept_and_words_seen_once_are_not():
    texts = ["often often often", "twice twice", "rare rare", "often once"]

    small = train_tokenizer(texts, vocab_size=3, max_length=8)
    large = train_tokenizer(texts, vocab_size=50, max_length=8)

    assert small.get_vocab() == {PAD: 0, UNKNOWN: 1, "often": 2}
    assert set(large.get_vocab()) == {PAD, UNKNOWN, "often", "twice", "rare"}


def test_ids_follow_the_alphabet_whatever_the_frequency():
    texts = ["b b b", "c c", "a a a a", "ä ä"]

    vocab = train_tokenizer(texts, vocab_size=50, max_length=8).get_vocab()

    assert vocab == {PAD: 0, UNKNOWN: 1, "a": 2, "b": 3, "c": 4, "ä": 5}


def test_same_texts_give_the_same_tokenizer():
    texts = [f"{word} {word} b c d" for word in "zyxwvu"] * 2

    first, again = (train_tokenizer(texts, 50, 8).to_str() for _ in range(2))

    assert first == again


def test_encoded_texts_are_not_padded(tokenizer):
    film = tokenizer.token_to_id("film")

    assert encode_texts(tokenizer, ["film film", "", "🎬"]) == [[film, film], [], [UNKNOWN_ID]]
