import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.parquet_rows import make_texts
from tests.helpers.paths import ROOT
from tests.helpers.ports import free_ports
from tests.helpers.stream_worker import LABELS, fit_together, make_learner

pytestmark = pytest.mark.slow
PATIENCE_S = 300  # of two processes that import TensorFlow, on a machine that does much else


def read_batch(tokenizer, rows):
    from training.fitting.batches import pad

    targets = np.eye(2, dtype=np.float32)[[LABELS.index(label) for _, label in rows]]
    token_ids = pad([tokenizer.encode(text).ids for text, _ in rows])
    return token_ids, targets, np.ones(len(rows), np.float32)


def measure_losses(learner, tokenizer, rows):
    """Return the mean loss of the wide half, and of the deep one."""
    batch, targets, _ = read_batch(tokenizer, rows)
    wide = learner.model_of_wide(batch) + learner.bias
    outputs = [learner.objective.add_head(wide), learner.teacher(batch)]
    return [float(np.mean(learner.objective.loss(targets, one))) for one in outputs]


def test_gradients_of_parts_add_up_to_those_of_the_batch():
    learner, tokenizer, _ = make_learner(batch_size=30)
    for layer in learner.model.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0.0  # dropout
    token_ids, targets, counts = read_batch(tokenizer, make_texts(30, seed=5))

    whole = np.asarray(learner.find_gradients(token_ids, targets, counts))
    parts = [
        np.asarray(learner.find_gradients(token_ids[part], targets[part], counts[part]))
        for part in (slice(0, 11), slice(11, 30))
    ]

    np.testing.assert_allclose(parts[0] + parts[1], whole, atol=1e-6)  # float32 sums of 30
    assert np.count_nonzero(whole) > 100


def test_what_weighs_nothing_stays_so_and_an_int8_graph_holds_the_table():
    from training.blocks.ngrams import FIRST_WORD_ID
    from training.blocks.wide import WEIGHT_STEPS
    from training.streaming.team import Team

    learner, _ = fit_together(Team(), 0)

    table = np.asarray(learner.fitted[0])
    assert not table[:FIRST_WORD_ID].any()
    steps = table / (np.abs(table).max(axis=0) / WEIGHT_STEPS)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)  # whole numbers, of float32


def test_two_workers_have_one_model_as_good_as_that_of_one_and_none_waits_for_a_dead_one(tmp_path):
    from training.streaming.team import Team

    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    files = [tmp_path / f"{number}.npz" for number in range(2)]
    program = [sys.executable, "-m", "tests.helpers.stream_worker"]
    workers = [
        subprocess.Popen(
            [*program, str(number), ",".join(addresses), str(file)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, file in enumerate(files)
    ]
    alone, tokenizer = fit_together(Team(), 0)
    told = [worker.communicate(timeout=PATIENCE_S) for worker in workers]

    assert [worker.returncode for worker in workers] == [3, 9], told
    assert told[0][0].startswith(f"worker 0: another worker is gone ({addresses[1]}): it has ended")
    with np.load(files[0]) as first, np.load(files[1]) as second:
        found = [first[name] for name in first.files]
        for name, weights in zip(second.files, found, strict=True):
            np.testing.assert_array_equal(second[name], weights)
    held_out = make_texts(1000, seed=9)
    untrained = measure_losses(make_learner()[0], tokenizer, held_out)
    losses = measure_losses(alone, tokenizer, held_out)
    for variable, weights in zip(alone.fitted, found, strict=True):
        variable.assign(weights)
    together = measure_losses(alone, tokenizer, held_out)
    assert max(together) < 0.55 < 0.65 < min(untrained)
    np.testing.assert_allclose(
        together, losses, atol=0.02
    )  # of other batches: seeds differ by 0.004
