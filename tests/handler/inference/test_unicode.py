"""Unicode's own test data against the tokenizer: `make test-unicode`."""

import bz2
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from handler.inference.characters import NUM_CODES, UNASSIGNED
from handler.inference.tokenizer import PAD, UNKNOWN
from handler.inference.tokenizer_file import read_characters
from training.tokenizer import make_tokenizer
from training.unicode_kinds import Database, describe_kinds, read_kinds

pytestmark = pytest.mark.unicode
FOLDER = Path(os.environ.get("UNICODE_DATA", "/usr/share/unicode"))
TOKENIZER = make_tokenizer([PAD, UNKNOWN], max_length=1024)
EMOJI_LINE = re.compile(r"([0-9A-F ]+); (?:fully|minimally)-qualified")


def split(text: str) -> list[str]:
    return TOKENIZER.split(text)[0]


def is_known(text: str) -> bool:
    """Say whether Unicode 14 has all characters of the text."""
    return all(TOKENIZER._characters.kind(ord(character)) != UNASSIGNED for character in text)


def read_lines(name: str) -> list[str]:
    path = FOLDER / name
    packed = path.with_name(f"{path.name}.bz2")  # as Debian has the largest
    content = bz2.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    return [line for line in content.decode().splitlines() if line and line[0] != "#"]


def read_normalization_test() -> Iterator[tuple[str, str]]:
    """Yield (part, line)."""
    part = ""
    for line in read_lines("NormalizationTest.txt"):
        if line[0] == "@":
            part = line.split()[0]
        else:
            yield part, line


def read_emoji() -> Iterator[str]:
    for line in read_lines("emoji/emoji-test.txt"):
        if found := EMOJI_LINE.match(line):
            yield "".join(chr(int(code, 16)) for code in found[1].split())


def test_kinds_are_those_of_the_database():
    described, kept = (
        read_characters(document, "characters")
        for document in (describe_kinds(Database(FOLDER)), read_kinds())
    )

    other = [code for code in range(NUM_CODES) if described.kind(code) != kept.kind(code)]

    # Made of Unicode 15.0; a later one has changed a property of some characters.
    version = (FOLDER / "DerivedAge.txt").read_text("utf-8").splitlines()[0]
    assert len(other) <= (0 if "-15.0.0" in version else 200)


def test_every_emoji_is_one_token_glued_to_words_and_to_another():
    emoji = [one for one in read_emoji() if is_known(one)]
    assert len(emoji) > 3_500

    # A keycap begins with a digit, and the sign of information is a letter to Unicode.
    glued = [one for one in emoji if not one[0].isalnum()]
    wrong = []
    for one in glued:
        tokens = split(one)
        if split(f"a{one}b{one}{one}") != ["a", *tokens, "b", *tokens, *tokens]:
            wrong.append(one)
    several = [one for one in emoji if len(split(one)) != 1]

    assert wrong == []
    # These are compatible forms of two signs.
    assert [one[0] for one in several] == ["\u203c", "\u2049", "\U0001f201"]


def test_equivalent_texts_have_the_same_tokens():
    """Of the five columns, 1 to 3 are canonically equivalent, 4 and 5 the compatible forms."""
    num_lines, wrong = 0, []
    for part, line in read_normalization_test():
        columns = [
            "".join(chr(int(code, 16)) for code in column.split()) for column in line.split(";")[:5]
        ]
        # Part 2 mixes marks of scripts in one character. An accent without a letter is a sign here.
        is_accent = unicodedata.normalize("NFKC", columns[0])[:1] == " "
        if part == "@Part2" or is_accent or not all(map(is_known, columns)):
            continue
        num_lines += 1
        first, *others = map(split, columns)
        if any(other != first for other in others):
            wrong.append(line)
    assert num_lines > 16_000
    assert wrong == []


def test_no_mark_stands_apart_from_its_character():
    """Where an extended grapheme cluster is one letter and its marks, it is in one token."""
    wrong = []
    for line in read_lines("auxiliary/GraphemeBreakTest.txt"):
        clusters = [
            "".join(chr(int(code, 16)) for code in part.replace("×", " ").split())
            for part in line.partition("#")[0].split("÷")
        ]
        for cluster in filter(None, clusters):
            is_letter = cluster[0].isalpha() and all(
                unicodedata.category(mark) in ("Mn", "Mc") for mark in cluster[1:]
            )
            if is_letter and is_known(cluster) and len(split(cluster)) > 1:
                wrong.append(line)
    assert wrong == []
