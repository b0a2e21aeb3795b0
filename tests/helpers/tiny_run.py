"""A run small enough to train inside a test: 300 synthetic rows, two LSTMs of 8 units."""

from pathlib import Path

import numpy as np

from training.downloads.synthetic import write_synthetic_reviews
from training.run_folder import Run
from training.settings import Settings

# A dropout rate, so that a resumed run must also find the random generators as they were.
SETTINGS = Settings(
    recipe="stacked",
    seed=3,
    vocab_size=50,
    max_length=32,
    embedding_dim=16,
    units=(8, 8),
    dropout_rate=0.1,
    learning_rate=0.01,
    batch_size=16,
    epochs=2,
)
NUM_ROWS = 300
# Of weights that are trained twice: the same sums in the same order on one machine, where only
# threads can change the last bits of float32.
ATOL = 1e-6


def write_tiny_data(folder: Path) -> Path:
    path = folder / "reviews.csv"
    write_synthetic_reviews(path, NUM_ROWS, seed=1)
    return path


def weights_of(run: Run) -> list[np.ndarray]:
    """Return the weights of the run's Keras model."""
    import keras

    return keras.saving.load_model(run.model_path, compile=False).get_weights()
