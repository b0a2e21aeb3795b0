"""Training the tokenizer. Everything that touches text lives in its `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PAD = "[PAD]"
UNKNOWN = "[UNK]"
PAD_ID = 0
UNKNOWN_ID = 1
MIN_FREQUENCY = 2  # the vector of a word seen once could not be learned
CONSTANTS = {"word_min_frequency": MIN_FREQUENCY}


def train_tokenizer(texts: Iterable[str], vocab_size: int, max_length: int) -> Tokenizer:
    """Return a word-level tokenizer over the most frequent words of `texts`.

    "A GREAT film.<br />好看" -> ["a", "great", "film", ".", "好", "看"]

    Ids follow the alphabet, which a bundle stores in far fewer bytes than the order of frequency
    (39 KB instead of 69 KB for 20,000 words of IMDB).

    Args:
        vocab_size: Words at most, [PAD] (id 0) and [UNK] (id 1) included. A word seen once is
            left out.
        max_length: Tokens that an encoding keeps; the rest stands in its `.overflowing`.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"<br\s*/?>"), " "),
            normalizers.NFKC(),
            # Control characters and white space cleaned, CJK characters set apart, lower case.
            normalizers.BertNormalizer(strip_accents=False),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        special_tokens=[PAD, UNKNOWN],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    words = sorted(set(tokenizer.get_vocab()) - {PAD, UNKNOWN})
    ids = {word: word_id for word_id, word in enumerate([PAD, UNKNOWN, *words])}
    tokenizer.model = models.WordLevel(ids, unk_token=UNKNOWN)
    tokenizer.enable_truncation(max_length)
    return tokenizer


def encode_texts(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return the ids of each text, without padding."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
