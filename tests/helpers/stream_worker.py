"""One of two workers that fit a small model together; the second one then dies.

Run: python -m tests.helpers.stream_worker NUMBER HOST:PORT,HOST:PORT FILE
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.helpers.parquet_rows import FILLERS, WORDS, make_texts
from tests.helpers.wide_deep import SETTINGS as SMALL

SETTINGS = dataclasses.replace(SMALL, learning_rate=0.02)
NUM_ROWS, BATCH_SIZE, STEPS = 1500, 64, 80
LABELS = ("bad", "good")


def make_learner(batch_size: int = BATCH_SIZE):
    """Return a model that knows which phrases there are and nothing of them, and what fits it."""
    import keras

    from handler.inference.tasks import SingleLabel
    from handler.inference.tokenizer import PAD, UNKNOWN
    from training.blocks import wide
    from training.blocks.ngrams import find_phrases
    from training.blocks.table import place_features
    from training.recipes import wide_deep
    from training.streaming.descent import Learner, Stream
    from training.tasks import make_objective
    from training.tokenizer import make_tokenizer

    keras.utils.set_random_seed(1)
    tokenizer = make_tokenizer([PAD, UNKNOWN, *sorted({*sum(WORDS.values(), ()), *FILLERS})], 32)
    objective = make_objective(SingleLabel(LABELS))
    model = wide_deep.build_model(SETTINGS, len(tokenizer.word_ids), objective)
    table = model.get_layer(wide.FINGERPRINTS)
    ids = [tokenizer.encode(text).ids for text, _ in make_texts(NUM_ROWS)]
    hashes = np.unique(find_phrases(ids).feature_ids)
    table.set_weights([place_features(hashes, np.ones(len(hashes)), table.input_dim)[:, None]])
    weights = model.get_layer(wide.WEIGHTS)
    weights.set_weights([np.zeros((weights.input_dim, weights.output_dim))])
    targets = np.eye(2, dtype=np.float32)
    stream = Stream(STEPS, batch_size, targets, np.ones(2, np.float32))
    return Learner(model, np.zeros(1, np.float32), SETTINGS, objective, stream), tokenizer, stream


def fit_together(team, number: int):
    """Return the learner, fitted to the rows of one worker of a team, and the tokenizer."""
    from training.streaming.cache import Cache
    from training.streaming.descent import fit_stream

    learner, tokenizer, stream = make_learner()
    rows = make_texts(NUM_ROWS)[number :: team.size]
    with TemporaryDirectory() as folder, Cache(Path(folder), True) as cache:
        encoded = [tokenizer.encode(text).row for text, _ in rows]
        cache.write(encoded, [LABELS.index(label) for _, label in rows])
        fit_stream(learner, cache, stream, team, number, None)
    return learner, tokenizer


def main() -> int:
    from training.errors import RunError
    from training.streaming.team import Team

    number, addresses = int(sys.argv[1]), sys.argv[2].split(",")
    team = Team(addresses, number)
    contents = [b"", bytes(range(256)) * 3]
    assert team.gather(contents[number]) == contents
    assert team.share(b"told" if number == 0 else b"not") == b"told"
    learner, _ = fit_together(team, number)
    variables = {str(place): np.asarray(v) for place, v in enumerate(learner.fitted)}
    np.savez(sys.argv[3], **variables)
    try:
        team.sum(np.zeros(1))  # the other may be gone before all of it is here
        if number == 1:
            os._exit(9)
        team.sum(np.zeros(1))
    except RunError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
