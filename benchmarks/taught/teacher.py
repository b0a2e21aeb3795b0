"""Fit the teacher on a machine with a GPU; it needs PyTorch and NumPy, and no more of this project.

First it learns to tell masked words of all training texts, also of those without labels; then, five
times, four fifths of the labels. So every training text is told by a network that has not seen its
label, and every other text by all five.

Run: python -m benchmarks.taught.teacher PACKED.npz --out teacher.npz
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmarks.taught.network import CLS, MASK, PAD, SEP, STEPS, VOCABULARY, Teacher

FIRST_WORD = 999  # of the vocabulary; what stands before are signs that no text has
FOLDS = 5
# Pretraining: 65,536 tokens a step, thirteen times over all texts of IMDB.
PRETRAINING_STEPS, PRETRAINING_ROWS, PRETRAINING_RATE = 4_300, 128, 6e-4
MASKED = 0.2  # of all tokens; of them 0.8 are hidden, 0.1 are another word, 0.1 stand as they are
# Fine-tuning; of longer texts the first 128 tokens and the last 382.
EPOCHS, ROWS, RATE, HEAD_TOKENS = 3, 32, 8e-5, 128
SMOOTHING = 0.01


class Texts:
    """All texts as token ids.

    Args:
        packed: What `python -m benchmarks.taught pack` wrote.
    """

    def __init__(self, packed: Any) -> None:
        self.ids, self.lengths = packed["ids"].astype(np.int64), packed["lengths"].astype(np.int64)
        self.targets = torch.tensor(packed["targets"].astype(np.float32), device="cuda")
        self.ends = np.cumsum(self.lengths)

    @property
    def num_labelled(self) -> int:
        return len(self.targets)

    def read(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the ids of some texts, int64, shape (texts, steps), padded behind."""
        cut = [self._cut(row) for row in rows.tolist()]
        ids = np.full((len(cut), max(map(len, cut)) + 2), PAD)
        for number, found in enumerate(cut):
            ids[number, 0], ids[number, len(found) + 1] = CLS, SEP
            ids[number, 1 : len(found) + 1] = found
        return torch.from_numpy(ids).to("cuda")

    def _cut(self, row: int) -> NDArray[np.int64]:
        ids = self.ids[self.ends[row] - self.lengths[row] : self.ends[row]]
        room = STEPS - 2
        return ids if len(ids) <= room else np.append(ids[:HEAD_TOKENS], ids[HEAD_TOKENS - room :])

    def batches(self, rows: NDArray[np.int64], random: np.random.Generator) -> Iterator[Any]:
        """Yield rows of about one length together, in a random order."""
        order = random.permutation(rows)
        found = []
        for begin in range(0, len(order), 50 * ROWS):
            part = order[begin : begin + 50 * ROWS]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            found += [part[place : place + ROWS] for place in range(0, len(part), ROWS)]
        random.shuffle(found)
        yield from found


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.taught.teacher", description=__doc__)
    parser.add_argument("packed", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=PRETRAINING_STEPS)
    options = parser.parse_args()
    with np.load(options.packed) as packed:
        arrays = dict(packed)
    texts = Texts(arrays)
    torch.manual_seed(0)
    teacher = Teacher()
    prefix = "minilm/"
    teacher.load({name[len(prefix) :]: arrays[name] for name in arrays if name.startswith(prefix)})
    teacher = teacher.to("cuda")
    pretrain(teacher, texts, options.steps)
    logits = tell_out_of_folds(teacher, texts)
    np.savez_compressed(options.out, logits=logits.astype(np.float16))
    is_right = (logits[: texts.num_labelled] > 0) == arrays["targets"].astype(bool)
    print(f"{options.out}: right about {is_right.mean():.4f} of the labels, out of folds")
    return 0


def pretrain(teacher: Teacher, texts: Texts, num_steps: int) -> None:
    """Fit the teacher, in place, to words that are hidden from it."""
    separated = []
    for row in np.random.default_rng(0).permutation(len(texts.lengths)):
        separated += [texts.ids[texts.ends[row] - texts.lengths[row] : texts.ends[row]], [SEP]]
    stream = torch.tensor(np.concatenate(separated), device="cuda")
    optimizer = _optimizer(teacher, 0.01)
    teacher.train()
    started = time.monotonic()
    for number in range(num_steps):
        _set_rate(optimizer, PRETRAINING_RATE, number, num_steps, 300)
        begins = torch.randint(0, len(stream) - STEPS, (PRETRAINING_ROWS, 1), device="cuda")
        ids = stream[begins + torch.arange(STEPS, device="cuda")]
        ids[:, 0] = CLS
        drawn = torch.rand(ids.shape, device="cuda")
        is_masked = (drawn < MASKED) & (ids != CLS) & (ids != SEP)
        shown = torch.where(is_masked & (drawn < 0.8 * MASKED), MASK, ids)
        other = torch.randint(FIRST_WORD, VOCABULARY, ids.shape, device="cuda")
        is_other = is_masked & (drawn >= 0.8 * MASKED) & (drawn < 0.9 * MASKED)
        shown = torch.where(is_other, other, shown)
        with torch.autocast("cuda", torch.bfloat16):
            guessed = teacher.guess_words(teacher(shown, None, 0.05)[is_masked])
        loss = functional.cross_entropy(guessed.float(), ids[is_masked])
        _step(teacher, optimizer, loss)
        if number % 500 == 0:
            passed = time.monotonic() - started
            print(f"step {number}: loss {loss.item():.3f}, {passed:.0f} s", flush=True)


def tell_out_of_folds(teacher: Teacher, texts: Texts) -> NDArray[np.float32]:
    """Return a logit for each text, float32, shape (texts,)."""
    labelled = np.arange(texts.num_labelled)
    rest = np.arange(texts.num_labelled, len(texts.lengths))
    folds = np.random.default_rng(1).permutation(len(labelled)) % FOLDS
    logits = np.zeros(len(texts.lengths), np.float32)
    for fold in range(FOLDS):
        fitted = fine_tune(teacher, texts, labelled[folds != fold], fold)
        held = labelled[folds == fold]
        logits[held] = predict(fitted, texts, held)
        logits[rest] += predict(fitted, texts, rest) / FOLDS
        print(f"fold {fold} of {FOLDS}", flush=True)
    return logits


def fine_tune(teacher: Teacher, texts: Texts, rows: NDArray[np.int64], seed: int) -> Teacher:
    """Return a teacher that was fitted to the labels of some rows."""
    torch.manual_seed(seed)
    fitted = copy.deepcopy(teacher).train()
    torch.nn.init.normal_(fitted.head.weight, 0, 0.02)
    torch.nn.init.zeros_(fitted.head.bias)
    optimizer = _optimizer(fitted, 0.05)
    random = np.random.default_rng(seed)
    num_steps = EPOCHS * -(-len(rows) // ROWS)
    number = 0
    for _ in range(EPOCHS):
        for batch in texts.batches(rows, random):
            _set_rate(optimizer, RATE, number, num_steps, num_steps // 10)
            wanted = texts.targets[torch.as_tensor(batch, device="cuda")]
            wanted = wanted * (1 - 2 * SMOOTHING) + SMOOTHING
            told = fitted.tell(texts.read(batch))
            _step(fitted, optimizer, functional.binary_cross_entropy_with_logits(told, wanted))
            number += 1
    return fitted


@torch.no_grad()
def predict(teacher: Teacher, texts: Texts, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of some rows, float32, shape (rows,)."""
    teacher.eval()
    logits = np.zeros(len(rows), np.float32)
    order = np.argsort(-texts.lengths[rows], kind="stable")
    for begin in range(0, len(order), 256):
        part = order[begin : begin + 256]
        logits[part] = teacher.tell(texts.read(rows[part]), 0.0).cpu().numpy()
    return logits


def _optimizer(teacher: Teacher, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(teacher.parameters(), weight_decay=weight_decay, fused=True)


def _set_rate(
    optimizer: torch.optim.Optimizer, peak: float, number: int, num_steps: int, warm_up: int
) -> None:
    """Warm up, then lower the learning rate along a cosine."""
    share = max(0, number - warm_up) / max(1, num_steps - warm_up)
    rate = peak * min(1.0, number / max(1, warm_up)) * (1 + math.cos(math.pi * share)) / 2
    for group in optimizer.param_groups:
        group["lr"] = rate


def _step(teacher: Teacher, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
    optimizer.step()


if __name__ == "__main__":
    sys.exit(main())
