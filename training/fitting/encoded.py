"""What a model reads of rows, and all that is learned from."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.files import replacing
from handler.inference.letters import join_row
from handler.inference.tokenizer import PAD, UNKNOWN, Tokenizer
from training.answers.class_weights import weigh_rows
from training.progress import interruptible, step
from training.resuming.stages import Stages
from training.rows.data import Data, Part
from training.rows.unlabelled import find_words
from training.settings import Settings
from training.tasks import Objective
from training.tokenizer import (
    UNKNOWN_ID,
    add_words,
    format_tokenizer,
    make_tokenizer,
    train_tokenizer,
)
from training.vectors.known_vectors import count_extra, place_known, read_known
from training.vectors.selection import WordVectors
from training.vectors.word_vectors import DIMENSIONS, learn_word_vectors, weigh_vectors

MAX_UNLABELLED = 100_000  # texts that an encoder reads; words are told by all
MIN_WEIGHT = 1e-6  # of a row beside the mean: least squares divide by it


@dataclass(frozen=True)
class Encoded:
    """What a model reads of rows, and what it shall answer.

    Args:
        token_ids: Of each text, without padding.
        targets: float32, shape (rows, num_outputs): 1 in the column of the label, or soft.
        unknown: Of each text the words that have no id; none: no text has any.
        words: The vocabulary, in the order of ids.
        groups: int64, shape (rows,): rows of one group are never on both sides of a split; None:
            each is alone.
        weights: float32, shape (rows,): what each row counts in a loss, 1 in the mean of all that
            may be learned from; None: ones.
        costs: float32, shape (rows,): what each row counts beside its weight in what gradient
            descent fits, by its label (`training/answers/class_weights.py`); None: all the same.
        vectors: float32, shape (vocabulary, dimensions), 0 of words without one; None: none has.
        start: float32, shape (vocabulary, dimensions), the most telling first: word vectors that an
            encoder may start from; None: they are found otherwise.
        unlabelled: Token ids of texts without labels.
        offsets: float32, shape (rows, logits of all parts of a model): what is to be added to the
            logits of a model that has learned from these rows, so that they are those of one that
            has not; None: it has not learned from them.
        places: int64, shape (rows,), of rows with offsets: where they stand among the rows to train
            on.
        is_apart: They stand in a file of their own, and must not be learned from.
    """

    token_ids: Sequence[Sequence[int]]
    targets: NDArray[np.float32]
    unknown: Sequence[Sequence[str]] = ()
    words: Sequence[str] = ()
    groups: NDArray[np.int64] = None  # type: ignore[assignment]  # never None from outside
    weights: NDArray[np.float32] = None  # type: ignore[assignment]  # nor this
    costs: NDArray[np.float32] | None = None
    vectors: NDArray[np.float32] | None = None
    start: NDArray[np.float32] | None = None
    unlabelled: Sequence[Sequence[int]] = ()
    offsets: NDArray[np.float32] | None = None
    places: NDArray[np.int64] | None = None
    is_apart: bool = False

    def __post_init__(self) -> None:
        num_rows = len(self.token_ids)
        if not self.unknown:
            object.__setattr__(self, "unknown", [()] * num_rows)
        if self.groups is None:
            object.__setattr__(self, "groups", np.arange(num_rows))
        if self.weights is None:
            object.__setattr__(self, "weights", np.ones(num_rows, np.float32))

    @property
    def rows(self) -> list[list[int]]:
        """What a model reads of each text: token ids, and the letters of unknown words."""
        pairs = zip(self.token_ids, self.unknown, strict=True)
        return [join_row(list(ids), unknown) for ids, unknown in pairs]

    @property
    def is_weighted(self) -> bool:
        """Whether rows count differently."""
        return bool((self.weights != 1).any())

    @property
    def fitted_weights(self) -> NDArray[np.float32]:
        """What each row counts in what gradient descent fits; float32, (rows,), 1 in the mean."""
        if self.costs is None:
            return self.weights
        both = self.weights * self.costs
        return np.asarray(both / both.mean(), np.float32)

    def select(self, chosen: NDArray[np.int64]) -> Encoded:
        """Return some of the rows; int64, shape (rows that stay,)."""
        numbers = chosen.tolist()
        return dataclasses.replace(
            self,
            token_ids=[self.token_ids[number] for number in numbers],
            targets=self.targets[chosen],
            unknown=[self.unknown[number] for number in numbers],
            groups=self.groups[chosen],
            weights=self.weights[chosen],
            costs=None if self.costs is None else self.costs[chosen],
            offsets=None if self.offsets is None else self.offsets[chosen],
            places=None if self.places is None else self.places[chosen],
        )


def join_encoded(first: Encoded, second: Encoded) -> Encoded:
    """Return the rows of both, in that order."""
    return dataclasses.replace(
        first,
        token_ids=[*first.token_ids, *second.token_ids],
        targets=np.concatenate([first.targets, second.targets]),
        unknown=[*first.unknown, *second.unknown],
        groups=np.concatenate([first.groups, second.groups]),
        weights=np.concatenate([first.weights, second.weights]),
        costs=(
            None
            if first.costs is None or second.costs is None
            else np.concatenate([first.costs, second.costs])
        ),
    )


def encode_part(part: Part, tokenizer: Tokenizer, objective: Objective) -> Encoded:
    """Return what a model reads of the rows, their targets and all that is learned from."""
    encodings = [tokenizer.encode(text) for text in part.texts]
    targets = objective.encode(part.labels)
    return Encoded(
        [encoding.ids for encoding in encodings],
        targets,
        [encoding.unknown for encoding in encodings],
        list(tokenizer.word_ids),
        part.groups,
        scale_weights([part.weights])[0],  # type: ignore[arg-type]
        weigh_rows(objective, targets),
    )


def encode_parts(
    data: Data, split: tuple[Part, Part], tokenizer: Tokenizer, known: WordVectors | None = None
) -> tuple[Encoded, Encoded]:
    """Return both parts of the rows, as `encode_part` gives them, weighed on one scale; the rows to
    train on with the vectors of words.

    Args:
        known: The vectors; None: words have none.
    """
    train, dev = (encode_part(part, tokenizer, data.objective) for part in split)
    if known is not None:
        train = dataclasses.replace(train, vectors=place_known(known, train.words))
    if data.dev is not None:  # weights of another file may be of another scale
        return train, dataclasses.replace(dev, is_apart=True)
    weights = scale_weights([part.weights for part in split])
    both = [
        encoded if scaled is None else dataclasses.replace(encoded, weights=scaled)
        for encoded, scaled in zip((train, dev), weights, strict=True)
    ]
    return both[0], both[1]


def scale_weights(
    weights: Sequence[Sequence[float] | None],
) -> list[NDArray[np.float32] | None]:
    """Return the weights of all parts so that their common mean is 1; None where there are none.

    [[1, 3], [2]] -> [[0.5, 1.5], [1]]; float32, shape (rows of the part,), `MIN_WEIGHT` or more.
    """
    given = [np.array(numbers, np.float64) for numbers in weights if numbers is not None]
    if not given:
        return [None for _ in weights]
    highest = max(float(numbers.max()) for numbers in given)
    mean = np.mean(np.concatenate(given) / highest)  # a sum of the largest numbers overflows
    return [
        None
        if numbers is None
        else np.maximum(np.array(numbers) / highest / mean, MIN_WEIGHT).astype(np.float32)
        for numbers in weights
    ]


def map_ids(encoded: Encoded, id_map: NDArray[np.int32]) -> Encoded:
    """Return the rows in the ids of fewer words.

    Args:
        id_map: int32, shape (vocab_size,): token id -> new token id, the unknown word's of one that
            is gone.
    """
    words, unknown_id = encoded.words, UNKNOWN_ID
    is_gone = id_map == unknown_id
    token_ids, unknown = [], []
    for ids, spelled in zip(encoded.token_ids, encoded.unknown, strict=True):
        row = np.asarray(ids, np.int64)
        token_ids.append(id_map[row].tolist())
        if not words or not is_gone[row].any():
            unknown.append(spelled)
            continue
        rest = iter(spelled)
        names = [
            next(rest, "") if id_ == unknown_id else words[int(id_)]
            for id_ in row.tolist()
            if is_gone[id_]
        ]
        unknown.append([name for name in names if name])
    stays = ~is_gone
    stays[unknown_id] = True
    kept = [word for word, is_kept in zip(words, stays, strict=False) if is_kept]
    vectors, start = (
        None if table is None else table[stays] for table in (encoded.vectors, encoded.start)
    )
    return dataclasses.replace(
        encoded, token_ids=token_ids, unknown=unknown, words=kept, vectors=vectors, start=start
    )


def encode_split(
    data: Data, split: tuple[Part, Part], settings: Settings, path: Path
) -> tuple[Tokenizer, Encoded, Encoded]:
    """Return the tokenizer of the rows and of more words whose meaning is known, and both parts of
    the rows.

    The tokenizer spells unknown words; it is written to `path`.
    """
    if data.words is None:
        tokenizer = train_tokenizer(data.train.texts, settings.vocab_size, settings.max_length)
    else:
        tokenizer = make_tokenizer([PAD, UNKNOWN, *sorted(data.words)], settings.max_length)
    known = None
    if data.unlabelled is not None:
        room = settings.vocab_size - len(tokenizer.word_ids)
        others = find_words(data.unlabelled.texts, tokenizer, room)
        tokenizer = add_words(tokenizer, others)
    if data.word_vectors is not None:
        num_extra = count_extra(2 * data.objective.num_logits)
        known = read_known(data.word_vectors, tokenizer.word_ids, num_extra)
        tokenizer = add_words(tokenizer, known.words)
    tokenizer.reads_letters = True
    with replacing(path) as temporary:
        temporary.write_bytes(format_tokenizer(tokenizer))
    return tokenizer, *encode_parts(data, split, tokenizer, known)


def add_unlabelled(
    train: Encoded, texts: Sequence[str], tokenizer: Tokenizer, seed: int, stages: Stages
) -> Encoded:
    """Return the rows with some of the texts beside them, and with word vectors that were learned
    from all, beside those that they may have already."""
    some = texts
    if len(texts) > MAX_UNLABELLED:
        order = np.random.default_rng(seed).permutation(len(texts))[:MAX_UNLABELLED]
        some = [texts[row] for row in np.sort(order).tolist()]
    read = [tokenizer.encode(text).ids for text in some]
    counts = np.full(len(train.words), 0.5)

    def read_all() -> Iterator[Sequence[int]]:
        every = read if some is texts else (tokenizer.encode(text).ids for text in texts)
        for ids in itertools.chain(train.token_ids, every):
            counts[:] += np.bincount(ids, minlength=len(counts))
            yield ids

    def learn() -> dict[str, NDArray[Any]]:
        start = learn_word_vectors(read_all(), len(counts), DIMENSIONS, seed)
        return {"start": start, "vectors": weigh_vectors(start, counts / counts.sum())}

    def learn_told() -> dict[str, NDArray[Any]]:
        with step("word vectors"):
            return interruptible(learn)

    found = stages.make("unlabelled", learn_told)
    vectors = found["vectors"]
    if train.vectors is not None:
        vectors = np.hstack([train.vectors, vectors])
    return dataclasses.replace(train, unlabelled=read, vectors=vectors, start=found["start"])
