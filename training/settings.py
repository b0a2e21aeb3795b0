"""What one training run is made with; written to the run's `metadata.json`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Sizes and schedule of a run; a recipe gives the defaults, flags replace them.

    Args:
        recipe: Name of the module in `training/recipes` that builds the model.
        seed: Of the split, the first weights, dropout and the order of batches.
        dev_fraction: Share of rows held out for early stopping, without a development file.
        vocab_size: Words of the tokenizer at most, padding and unknown included.
        max_length: Tokens that the model reads.
        embedding_dim: Width of the word vectors.
        units: Hidden units of each LSTM layer, first to last.
        dropout_rate: Share of activations zeroed between layers while training.
        learning_rate: Of Adam.
        batch_size: Texts in one step.
        epochs: Passes over the training rows at most.
        patience: Epochs without a better development log loss before training ends.
    """

    recipe: str
    seed: int = 0
    dev_fraction: float = 0.1
    vocab_size: int = 20_000
    max_length: int = 256
    embedding_dim: int = 128
    units: tuple[int, ...] = (128, 128)
    dropout_rate: float = 0.0
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 5
    patience: int = 2
