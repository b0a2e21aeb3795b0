"""The tokenizer's file in a bundle: rules of Hugging Face `tokenizers`, and words told apart.

{"tokenizer": tokenizer.json with the added tokens only, "words": {"shared": ..., "endings": ...}}

Only rules that are known here are read: a pattern of a bundle's own could take hours for one text.
Another one is added to NORMALIZERS, PATTERNS or SPLITTERS.
"""

from __future__ import annotations

import zlib
from typing import Any

from handler.errors import ArtefactError
from handler.inference.checks import (
    Check,
    array,
    flag,
    one_of,
    parse_json,
    record,
    refuse,
    show,
    text,
    whole,
)
from handler.inference.manifest import MAX_LENGTH, MAX_WORDS, Manifest

GZIP = 31  # zlib's `wbits` for a gzip header; the gzip module is one more import
MAX_UNPACKED_BYTES = 8 << 20  # 500,000 words whose endings have 16 letters
NO_LETTER = ord("0")  # stands for 0 in `shared`
MAX_SHARED = 40  # letters of the word before that a word may repeat; "X" in the file
SHARED = bytes(range(NO_LETTER, NO_LETTER + MAX_SHARED + 1))
COUNTS = bytes.maketrans(SHARED, bytes(range(MAX_SHARED + 1)))  # "2" -> 2
MAX_ADDED = 100  # tokens such as [PAD]; `minnow train` adds two
PATTERNS = (r"<br\s*/?>",)  # regular expressions that need no more than a pass over the text
SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
NORMALIZERS: dict[str, dict[str, Check]] = {
    "NFC": {},
    "NFKC": {},
    "Lowercase": {},
    "BertNormalizer": {
        "clean_text": flag,
        "handle_chinese_chars": flag,
        "strip_accents": one_of(None, True, False),
        "lowercase": flag,
    },
    "Replace": {"pattern": record({"Regex": one_of(*PATTERNS)}), "content": one_of("", " ")},
}
MAX_NORMALIZERS = 16


def unpack_tokenizer(content: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    """Return (`tokenizer.json` with added tokens only, word -> id) of the file in a bundle.

    Each word is stored as how many letters it shares with the word before it, and its ending:
    {"shared": "0442", "endings": "film s ed t"} -> film, films, filmed, fit

    Raises:
        ArtefactError: It is not what `minnow export` writes.
    """
    document = _read_document(parse_json(_inflate(content)), "")
    ids = _unpack_words(document["words"]["shared"], document["words"]["endings"])
    rules: dict[str, Any] = document["tokenizer"]
    model, added = rules["model"], rules["added_tokens"]
    for name, word in (("added_tokens", token["content"]) for token in added):
        if word not in ids:
            refuse(f"tokenizer.{name}", word, "one of the words")
    if model["vocab"] != {token["content"]: token["id"] for token in added} or any(
        ids[token["content"]] != token["id"] for token in added
    ):
        raise ArtefactError("tokenizer.added_tokens have other ids than the words.")
    if model["unk_token"] not in ids:
        refuse("tokenizer.model.unk_token", model["unk_token"], "one of the words")
    return rules, ids


def check_fit(rules: dict[str, Any], ids: dict[str, int], manifest: Manifest) -> None:
    """Raise ArtefactError unless the tokenizer gives what the manifest tells of its ids."""
    for field, wanted, found in (
        ("max_length", manifest.max_length, rules["truncation"]["max_length"]),
        ("unknown_id", manifest.unknown_id, ids[rules["model"]["unk_token"]]),
    ):
        if wanted != found:
            raise ArtefactError(f"its {field} is {found}, the manifest says {wanted}.")
    if manifest.pad_id >= len(ids):
        raise ArtefactError(
            f"has {len(ids)} words, and the manifest's pad_id is {manifest.pad_id}."
        )


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


def _read_normalizer(value: Any, field: str) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and value.get("type") == "Sequence":
        steps = array(_read_step, MAX_NORMALIZERS)
        return record({"type": one_of("Sequence"), "normalizers": steps})(value, field)
    return _read_step(value, field)


def _read_step(value: Any, field: str) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in NORMALIZERS:
        raise ArtefactError(
            f"{field} is of the type {show(kind)}, this build knows {', '.join(NORMALIZERS)}."
        )
    return record({"type": one_of(kind), **NORMALIZERS[kind]})(value, field)


def _read_ids(value: Any, field: str) -> dict[str, int]:
    if not isinstance(value, dict):
        refuse(field, value, "an object of ids")
    return {word: whole(0, MAX_WORDS - 1)(one, field) for word, one in value.items()}


_nothing = one_of(None)
_read_document = record(
    {
        "tokenizer": record(
            {
                "version": one_of("1.0"),
                "truncation": record(
                    {
                        "direction": one_of("Right"),
                        "max_length": whole(1, MAX_LENGTH),
                        "strategy": one_of("LongestFirst"),
                        "stride": one_of(0),
                    }
                ),
                "padding": _nothing,
                "added_tokens": array(
                    record(
                        {
                            "id": whole(0, MAX_WORDS - 1),
                            "content": text(MAX_SHARED, 1),
                            "single_word": flag,
                            "lstrip": flag,
                            "rstrip": flag,
                            "normalized": flag,
                            "special": flag,
                        }
                    ),
                    MAX_ADDED,
                ),
                "normalizer": _read_normalizer,
                "pre_tokenizer": record({"type": one_of(*SPLITTERS)}),
                "post_processor": _nothing,
                "decoder": _nothing,
                "model": record(
                    {"type": one_of("WordLevel"), "vocab": _read_ids, "unk_token": _read_string}
                ),
            }
        ),
        "words": record({"shared": _read_string, "endings": _read_string}),
    }
)
