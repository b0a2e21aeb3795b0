"""Words of two sides, and labelled rows that have half of each."""

from pathlib import Path

GOOD, BAD = ["fine", "good", "great", "lovely"], ["awful", "bad", "poor", "sad"]


def write_opinions(path: Path) -> Path:
    """Write forty rows with the first two words of each side, in ten rows each."""
    texts = [(f"{word} number{n}", "pos") for n, word in enumerate(GOOD[:2] * 10)]
    texts += [(f"{word} number{n}", "neg") for n, word in enumerate(BAD[:2] * 10)]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in texts))
    return path
