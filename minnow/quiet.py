"""TensorFlow without the notes that it prints about CUDA and the processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2  # the file descriptor


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, so that what imports them next does it without a word.

    `TF_CPP_MIN_LOG_LEVEL` silences what TensorFlow logs later on. At import it writes before it
    has read that variable, from C++ and straight to the file descriptor. Python's own errors are
    raised as ever.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silenced_stderr():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Drop what is written to the file descriptor itself, from C++."""
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
