"""Lines of the log of two versions, drawn by chance: texts of one request are alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """What is drawn; by default both versions are the same.

    Args:
        requests: Of versions 1 and 2.
        pairs: Lines of a shadow.
        positive: Share of the label "pos", by version.
        slower: Latency of version 2, as a part of the other's.
        failing: Share of the requests that fail, by version.
        flipped: Share of the texts that both answer otherwise.
        upward: Of these, the share that becomes "pos".
        shift: Of the scores.
        task: Its kind.
    """

    requests: tuple[int, int] = (400, 150)
    pairs: int = 0
    positive: tuple[float, float] = (0.4, 0.4)
    slower: float = 1.0
    failing: tuple[float, float] = (0.002, 0.002)
    flipped: float = 0.03
    upward: float = 0.5
    shift: float = 0.0
    task: str = "single-label"


def draw_lines(drawn: Drawn, seed: int) -> list[dict[str, Any]]:
    """Return the lines, as `json.dumps` takes them."""
    chance = np.random.default_rng(seed)
    lines = []
    for index, version in enumerate("12"):
        for _ in range(drawn.requests[index]):
            lines.append(_draw_request(drawn, index, version, chance))
    return lines + [_draw_pair(drawn, chance) for _ in range(drawn.pairs)]


def encode_lines(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _draw_request(
    drawn: Drawn, index: int, version: str, chance: np.random.Generator
) -> dict[str, Any]:
    line: dict[str, Any] = {"level": "info", "message": "request", "operation": "predict"}
    line |= {"model": "films", "method": "POST", "version": version, "timestamp": 1.7e9}
    if chance.random() < drawn.failing[index]:
        return line | {"status": 500, "latency_ms": 1.0, "texts": 0}
    texts = int(chance.integers(1, 9))
    spread = 4.0  # texts of one request share a topic
    share = drawn.positive[index]
    positive = int(chance.binomial(texts, chance.beta(spread * share, spread * (1 - share))))
    slower = drawn.slower if index else 1.0
    latency_ms = slower * texts**0.5 * np.exp(chance.normal(0, 0.5))
    labels = {"pos": positive, "neg": texts - positive}
    return line | {
        "status": 200,
        "latency_ms": round(float(latency_ms), 3),
        "texts": texts,
        "labels": {label: count for label, count in labels.items() if count},
    }


def _draw_pair(drawn: Drawn, chance: np.random.Generator) -> dict[str, Any]:
    texts = int(chance.integers(1, 9))
    flipped = int(chance.binomial(texts, chance.beta(2 * drawn.flipped, 2 * (1 - drawn.flipped))))
    upward = int(chance.binomial(flipped, drawn.upward))
    changed = {"neg": {"pos": upward}, "pos": {"neg": flipped - upward}}
    latency_ms = float(np.exp(chance.normal(0, 0.5)))
    return {
        "level": "info",
        "message": "shadow",
        "model": "films",
        "version": "1",
        "shadow": "2",
        "task": drawn.task,
        "texts": texts,
        "agreed": texts - flipped,
        "score_difference": 0.05,
        "score_shift": float(chance.normal(drawn.shift, 0.05)),
        "changed": {label: others for label, others in changed.items() if sum(others.values())},
        "in_turns": True,
        "latency_ms": latency_ms,
        "shadow_latency_ms": latency_ms * drawn.slower * float(np.exp(chance.normal(0, 0.1))),
    }
