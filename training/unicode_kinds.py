"""The kinds of all characters: `unicode_kinds.json`, made of Unicode's own data.

Run: python -m training.unicode_kinds FOLDER, where FOLDER holds the Unicode Character Database
(UnicodeData.txt and others; Debian's package `unicode-data` has it in /usr/share/unicode).

Only what Unicode 14.0 has is told apart, the Unicode of Python 3.11: older than every other that is
supported, so that case and compatible forms of it are known to all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from handler.files import replacing
from handler.inference.characters import (
    BREAK,
    IGNORED,
    JOINER,
    MARK,
    NUM_CODES,
    SINGLE,
    SYMBOL,
    UNASSIGNED,
    WORD,
)

VERSION = (14, 0)
PATH = Path(__file__).with_suffix(".json")
ZERO_WIDTH_SPACE, ZERO_WIDTH_JOINER, APOSTROPHE = 0x200B, 0x200D, ord("'")
# Marks that make one sign with what stands before them: Kana's voiced sounds, the stroke of "≠".
COMPOSED_MARKS = (0x3099, 0x309A, 0x0338)
SKIN_TONES = range(0x1F3FB, 0x1F400)
# Line break classes (Unicode annex 14) of scripts that set no spaces between words: South East
# Asian, ideographs, small Kana and what must not begin a line.
NO_SPACES = ("SA", "ID", "CJ", "NS")


@cache
def read_kinds() -> dict[str, Any]:
    """Return what `handler.inference.tokenizer_file.read_characters` reads."""
    document: dict[str, Any] = json.loads(PATH.read_text("ascii"))
    return document


class Database:
    """The properties of characters that tell their kinds.

    Args:
        folder: Of the Unicode Character Database.
    """

    def __init__(self, folder: Path) -> None:
        self.ages = _read_property(folder / "DerivedAge.txt")
        self.categories = _read_property(folder / "extracted/DerivedGeneralCategory.txt")
        self.line_breaks = _read_property(folder / "LineBreak.txt")
        self.scripts = _read_property(folder / "Scripts.txt")
        derived = _read_property(
            folder / "DerivedCoreProperties.txt", "Default_Ignorable_Code_Point"
        )
        self.ignorable = set(derived)
        self.spaces = set(_read_property(folder / "PropList.txt", "White_Space"))

    def find_kind(self, code: int) -> str:
        """Return the kind of a character, one letter of `characters.KINDS`."""
        category = self.categories.get(code, "Cn")
        if code in self.spaces or category == "Cc" or code == ZERO_WIDTH_SPACE:
            return BREAK
        if code == ZERO_WIDTH_JOINER:
            return JOINER
        if code in self.ignorable or code in SKIN_TONES:
            return IGNORED
        if category in ("Cn", "Co", "Cs") or self._is_newer(code):
            return UNASSIGNED
        is_unspaced = self.line_breaks.get(code) in NO_SPACES and self.scripts.get(code) != "Hangul"
        if category == "Me" or code in COMPOSED_MARKS or (is_unspaced and category[0] == "M"):
            return MARK
        if category[0] in "LMN":
            return SINGLE if is_unspaced else WORD
        return WORD if code == APOSTROPHE else SYMBOL

    def _is_newer(self, code: int) -> bool:
        age = self.ages.get(code)
        return age is None or tuple(map(int, age.split("."))) > VERSION


def describe_kinds(database: Database) -> dict[str, str]:
    """Return the document of `unicode_kinds.json`."""
    runs = [
        (kind, sum(1 for _ in codes))
        for kind, codes in groupby(range(NUM_CODES), database.find_kind)
    ]
    return {
        "unicode": ".".join(map(str, VERSION)),
        "kinds": "".join(kind for kind, _ in runs),
        "lengths": " ".join(f"{length:x}" for _, length in runs),
    }


def _read_property(path: Path, name: str = "") -> dict[int, str]:
    """Return code -> value of a file of `0041..005A ; value # comment`.

    Args:
        name: Only of this value; "": of all.
    """
    return dict(_read_codes(path, name))


def _read_codes(path: Path, name: str) -> Iterator[tuple[int, str]]:
    for line in path.read_text("utf-8").splitlines():
        codes, separator, value = line.partition("#")[0].partition(";")
        value = value.strip()
        if separator and name in ("", value):
            first, _, last = codes.strip().partition("..")
            for code in range(int(first, 16), int(last or first, 16) + 1):
                yield code, value


if __name__ == "__main__":
    with replacing(PATH) as temporary:
        temporary.write_text(
            json.dumps(describe_kinds(Database(Path(sys.argv[1]))), indent=0) + "\n"
        )
