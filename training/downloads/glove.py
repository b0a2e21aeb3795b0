"""Downloading GloVe's word vectors (Pennington, Socher & Manning, EMNLP 2014)."""

from __future__ import annotations

from pathlib import Path

from training.downloads.resumable import Remote, download

# Stanford publishes neither size nor hash. Both are as torchtext (`torchtext.experimental.vectors`)
# and Julia's Embeddings.jl have them; the size is also what its server has said in many logs.
GLOVE = Remote(
    url="https://nlp.stanford.edu/data/glove.6B.zip",
    algorithm="sha256",
    digest="617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
    size_bytes=862_182_613,
)


def download_glove(out: Path, remote: Remote = GLOVE) -> Path:
    """Return the path of the official archive in `out`, which `read_word_vectors` reads as it is.

    400,000 words of English in 50, 100, 200 and 300 dimensions, from Wikipedia 2014 and Gigaword 5;
    Public Domain Dedication and License 1.0.

    Raises:
        DataError: As `training.downloads.resumable.download`.
        OSError: As there.
    """
    return download(remote, out)
