"""Whole words in the vocabulary of a `tokenizer.json` (Hugging Face), without its library.

Such a tokenizer writes a rare word as several pieces. Which pieces are whole words is told by a
sign: `##` before those that go on with a word (WordPiece), `▁` (Unigram, and BPE of SentencePiece)
or `Ġ` (BPE of bytes) before those that begin one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from handler.inference.characters import WORD
from handler.inference.tokenizer_file import read_characters
from training.errors import DataError
from training.unicode_kinds import read_kinds
from training.vectors.source import FETCH_AGAIN

MAX_BYTES = 256 << 20  # ten times the largest that is in use
BEGINS = "▁"
BYTE_BEGINS = "Ġ"
# A vocabulary that marks beginnings does so with a good part of its pieces; one that does not may
# hold the sign as a sign.
MARKED_SHARE = 0.05


def read_whole_words(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield id and word of the pieces that are whole words, by their ids.

    Raises:
        DataError: It is no such file.
    """
    pieces, continues = _read_pieces(path)
    begins = _find_beginning(pieces)
    characters = read_characters(read_kinds(), "characters")
    for piece_id, piece in sorted((piece_id, piece) for piece, piece_id in pieces.items()):
        if continues and piece.startswith(continues):
            continue
        if not begins:
            yield piece_id, _encode(piece)
        elif piece.startswith(begins) or characters.kind(ord(piece[:1] or " ")) != WORD:
            # Signs, and letters of scripts without spaces, stand where they will.
            word = piece.removeprefix(begins)
            yield piece_id, _decode_bytes(word) if begins == BYTE_BEGINS else _encode(word)


def _read_pieces(path: Path) -> tuple[dict[str, int], str]:
    """Return piece -> id, and what begins a piece that goes on with a word."""
    content = _read_content(path)
    try:
        document = json.loads(content)
        model, vocabulary = document["model"], document["model"]["vocab"]
        if isinstance(vocabulary, list):
            pieces = {piece: piece_id for piece_id, (piece, _) in enumerate(vocabulary)}
        else:
            pieces = dict(vocabulary)
        added = {token["id"] for token in document.get("added_tokens") or () if token["special"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _fault(path) from None
    if not all(isinstance(p, str) and type(i) is int and i >= 0 for p, i in pieces.items()):
        raise _fault(path)
    continues = model.get("continuing_subword_prefix") or ""
    if not isinstance(continues, str):
        raise _fault(path)
    return {piece: i for piece, i in pieces.items() if i not in added}, continues


def _read_content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}): the words of a static embedding model "
            "stand in it. Fetch it too, into the same folder."
        ) from None
    if size > MAX_BYTES:
        raise DataError(f"{path}: has over {MAX_BYTES:,} bytes, so it is no tokenizer.json")
    return content


def _find_beginning(pieces: dict[str, int]) -> str:
    """Return the sign before pieces that begin a word; "": none is set."""
    for sign in (BEGINS, BYTE_BEGINS):
        if sum(piece.startswith(sign) for piece in pieces) > MARKED_SHARE * len(pieces):
            return sign
    return ""


def _encode(piece: str) -> bytes:
    """Return UTF-8; half a surrogate pair, which JSON can hold, makes it bytes that are none."""
    return piece.encode(errors="surrogatepass")


def _decode_bytes(piece: str) -> bytes:
    """Return the bytes of a piece of byte-level BPE: "cafÃ©" -> the UTF-8 of "café"."""
    return bytes(_BYTES.get(character, ord("?")) for character in piece)


def _list_bytes() -> dict[str, int]:
    """Return character -> byte: GPT-2 writes a byte that is no visible sign of Latin-1 as one of
    the characters from 256 on."""
    visible = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + n): b for n, b in enumerate(hidden)}


_BYTES = _list_bytes()


def _fault(path: Path) -> DataError:
    return DataError(
        f"{path}: is no tokenizer.json of Hugging Face: wanted model.vocab with a number for each "
        f"piece. {FETCH_AGAIN}"
    )
