"""The settings of the recipes that come with Minnow; help shows them without TensorFlow."""

from __future__ import annotations

from typing import Any

from training.settings import Settings

WIDE_DEEP = Settings(
    recipe="wide_deep",
    dev_fraction=0.05,
    max_length=1024,
    embedding_dim=32,
    units=(64,),
    table_bytes=2**18,
    dropout_rate=0.5,
    token_dropout_rate=0.3,
    learning_rate=2e-3,
    weight_decay=1e-4,
    cosine_decay=True,
    ema_share=0.15,
    epochs=8,
    min_steps=1500,
    patience=0,
)
STACKED = Settings(recipe="stacked")
SHOWN = (WIDE_DEEP, STACKED)  # the default first


def describe_default(name: str) -> str:
    """Return a setting by recipe: "8 with wide_deep, 5 with stacked", or "0" where all agree."""
    values = [(_format(getattr(settings, name)), settings.recipe) for settings in SHOWN]
    if len({value for value, _ in values}) == 1:
        return values[0][0]
    return ", ".join(f"{value} with {recipe}" for value, recipe in values)


def _format(value: Any) -> str:
    """Return the value as it is typed: (128, 128) -> "128,128"."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
