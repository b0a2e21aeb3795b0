"""The tokenizer's file in a bundle: the name of its rules, the kinds of characters, its words.

{"rules": "words-2",
 "letters": true where the model reads the letters of unknown words,
 "characters": {"unicode": "14.0", "kinds": "bsw…", "lengths": "21 1 1 …"},
 "words": {"shared": …, "endings": …}}

Rules of another name make other tokens, which the model was not trained on; they are refused.
`words-1` read no blank as a token.
"""

from __future__ import annotations

import zlib
from typing import Any

from handler.errors import ArtefactError
from handler.inference.characters import KINDS, NUM_CODES, Characters
from handler.inference.checks import one_of, parse_json, record, refuse, text
from handler.inference.manifest import MAX_WORDS, Manifest
from handler.inference.tasks import Selective
from handler.inference.tokenizer import RULES, Tokenizer

GZIP = 31  # zlib's `wbits` for a gzip header; the gzip module is one more import
MAX_UNPACKED_BYTES = 8 << 20  # 500,000 words whose endings have 16 letters
NO_LETTER = ord("0")  # stands for 0 in `shared`
MAX_SHARED = 40  # letters of the word before that a word may repeat; "X" in the file
SHARED = bytes(range(NO_LETTER, NO_LETTER + MAX_SHARED + 1))
COUNTS = bytes.maketrans(SHARED, bytes(range(MAX_SHARED + 1)))  # "2" -> 2
MAX_RUNS_CHARACTERS = 60_000  # of all numbers; Unicode 14 has 1,900 runs in 4,400 characters
MAX_DIGITS = 6  # of one of them
HEXADECIMAL = frozenset("0123456789abcdef ")


def unpack_tokenizer(content: bytes, manifest: Manifest) -> Tokenizer:
    """Return the tokenizer in the file of a bundle.

    Each word is stored as how many letters it shares with the word before it, and its ending:
    {"shared": "0442", "endings": "film s ed t"} -> film, films, filmed, fit

    Raises:
        ArtefactError: It is not what `minnow export` writes, has rules unknown here, or fewer words
            than the manifest tells of.
    """
    fields = _read_document(parse_json(_inflate(content)), "")
    ids = _unpack_words(fields["words"]["shared"], fields["words"]["endings"])
    for name in ("pad_id", "unknown_id"):
        if getattr(manifest, name) >= len(ids):
            raise ArtefactError(
                f"has {len(ids)} words, and the manifest's {name} is {getattr(manifest, name)}."
            )
    scope = manifest.task.scope if isinstance(manifest.task, Selective) else None
    if scope is not None and len(scope.information) != len(ids):
        raise ArtefactError(
            f"has {len(ids)} words, and the manifest's task.scope.information tells of "
            f"{len(scope.information)}."
        )
    return Tokenizer(
        fields["characters"], ids, manifest.unknown_id, manifest.max_length, fields["letters"]
    )


def read_rules(value: Any, field: str) -> str:
    """Return the name of the rules; raises ArtefactError of rules that are not those of here."""
    if value != RULES:
        refuse(field, value, f"{RULES!r}: first train the model again, by minnow train")
    return RULES


def read_characters(value: Any, field: str) -> Characters:
    """Return what each character is.

    Args:
        value: {"unicode": the version that has them, "kinds": a letter for each run of characters
            of one kind, "lengths": how many each run has, in hexadecimal}.
        field: Its name in an error.

    Raises:
        ArtefactError: A kind that is not known here, or lengths that are not those of all
            characters.
    """
    fields = record({"unicode": text(20), "kinds": _read_string, "lengths": _read_string})(
        value, field
    )
    kinds, digits = fields["kinds"], fields["lengths"]
    if unknown := set(kinds) - set(KINDS):
        refuse(f"{field}.kinds", min(unknown), f"letters of {KINDS}")
    numbers = digits[: MAX_RUNS_CHARACTERS + 1].split()
    is_short = (
        len(digits) <= MAX_RUNS_CHARACTERS and max(map(len, numbers), default=0) <= MAX_DIGITS
    )
    if not is_short or not HEXADECIMAL.issuperset(digits):
        refuse(f"{field}.lengths", digits, f"{len(kinds)} numbers in hexadecimal")
    lengths = [int(number, 16) for number in numbers]
    if len(lengths) != len(kinds) or sum(lengths) != NUM_CODES or not all(lengths):
        raise ArtefactError(
            f"{field}.lengths are {len(lengths)} numbers with a sum of {sum(lengths):,}, wanted "
            f"{len(kinds)}, as there are kinds, and {NUM_CODES:,}, as there are characters."
        )
    return Characters(kinds, lengths)


def _inflate(content: bytes) -> bytes:
    inflater = zlib.decompressobj(GZIP)
    try:
        document = inflater.decompress(content, MAX_UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise ArtefactError("is no gzip file, or is damaged.") from error
    if len(document) > MAX_UNPACKED_BYTES:
        raise ArtefactError(f"is over {MAX_UNPACKED_BYTES} bytes long once it is inflated.")
    if not inflater.eof or inflater.unused_data:
        raise ArtefactError("is cut short, or has bytes after the end of its gzip.")
    return document


def _unpack_words(shared: str, endings: str) -> dict[str, int]:
    """Return word -> id; checked as a whole, since one by one would cost a start 1 ms."""
    lengths, parts = shared.encode(), endings.split(" ")
    if len(lengths) != len(parts) or not 2 <= len(parts) <= MAX_WORDS:
        raise ArtefactError(
            f"words.shared is for {len(lengths)} words and words.endings for {len(parts)}, wanted "
            f"as many, 2 to {MAX_WORDS}."
        )
    if lengths.translate(None, SHARED):
        raise ArtefactError(f"words.shared holds other lengths than 0 to {MAX_SHARED}.")
    word, counts = "", lengths.translate(COUNTS)
    words = [word := word[:count] + part for count, part in zip(counts, parts, strict=True)]
    ids = dict(zip(words, range(len(words)), strict=True))
    if len(ids) != len(words) or "" in ids:
        raise ArtefactError("words.endings give an empty word, or one word twice.")
    return ids


def _read_string(value: Any, field: str) -> str:
    if not isinstance(value, str):
        refuse(field, value, "a text")
    return value


_read_document = record(
    {
        "rules": read_rules,
        "letters": one_of(True, False),
        "characters": read_characters,
        "words": record({"shared": _read_string, "endings": _read_string}),
    }
)
