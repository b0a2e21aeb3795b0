"""Files that must not be read: no regular ones, bombs, tokenizers of other rules."""

from __future__ import annotations

import json
import os
import random
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.hostile import (
    MANIFEST,
    MODEL,
    TOKENIZER,
    Hostile,
    put,
    replace_file,
    replacing,
    show_place,
)
from tests.helpers.paths import TESTS

GZIP = 31
RANDOM_FILES = 8


def _read(name: str) -> bytes:
    return (TESTS / "tiny_bundle" / name).read_bytes()


def _bind(path: Path) -> None:
    # Of a name relative to the folder: a socket's path may have 108 characters.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def _link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def _write_sparse(size_bytes: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size_bytes)

    return write


# What stands in the place of a file.
KINDS: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "a named pipe": os.mkfifo,
    "a socket": _bind,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /dev/null": lambda path: path.symlink_to("/dev/null"),
    "a link to /dev/random": lambda path: path.symlink_to("/dev/random"),
    "a link to /dev/tty": lambda path: path.symlink_to("/dev/tty"),
    "a link to /proc/self/mem": lambda path: path.symlink_to("/proc/self/mem"),
    "a link to /proc/kmsg": lambda path: path.symlink_to("/proc/kmsg"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a pipe": _link_to_pipe,
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a terabyte": _write_sparse(1 << 40),
    "200 MB": _write_sparse(200_000_000),
    "2 MB of nothing": _write_sparse(2_000_000),
}


def list_files() -> Iterator[Hostile]:
    """Yield bundles with something else in the place of a file, and damaged files."""
    for name in (MANIFEST, MODEL, TOKENIZER):
        for kind, make in KINDS.items():

            def damage(bundle: Path, name: str = name, make: Any = make) -> None:
                (bundle / name).unlink()
                make(bundle / name)

            yield Hostile(f"{name} is {kind}", damage, name)
    for name in (MODEL, TOKENIZER):
        content = _read(name)
        yield Hostile(f"{name} changed", _write_over(name, content[:-1] + b"\xff"), name)
        for tenths in range(1, 10):
            cut = content[: len(content) * tenths // 10]
            yield Hostile(f"{name} cut at {tenths}0 %", replacing(name, lambda cut=cut: cut), name)
        yield Hostile(f"{name} twice", replacing(name, lambda content=content: content * 2), name)
        for seed in range(RANDOM_FILES):
            noise = random.Random(seed).randbytes(1 << seed)
            yield Hostile(f"{name} of noise {seed}", replacing(name, lambda n=noise: n), name)
    yield from _list_tokenizers()


def _write_over(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda bundle: (bundle / name).write_bytes(content)


def pack(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode(), 9, GZIP)


def _bomb(size_bytes: int) -> bytes:
    """Return the gzip of blanks, a thousandth of their size."""
    compressor = zlib.compressobj(9, wbits=GZIP)
    block = b" " * (1 << 20)
    parts = [compressor.compress(block) for _ in range(size_bytes >> 20)]
    return b"".join((*parts, compressor.flush()))


def _fill(opening: bytes, item: bytes, count: int) -> bytes:
    return zlib.compress(opening + item * count, 6, GZIP)


def _list_tokenizers() -> Iterator[Hostile]:
    files: dict[str, Callable[[], bytes]] = {
        "a bomb of 60 MB": lambda: _bomb(60 << 20),
        "arrays in arrays": lambda: _fill(b"", b"[", 9_000),
        "two million arrays": lambda: _fill(b"[", b"[],", 2_000_000),
        "2 million words": lambda: _fill(b'{"words":{"shared":"","endings":"', b"a ", 2_000_000),
        "not compressed": lambda: b"{}",
        "zlib": lambda: zlib.compress(b"{}"),
        "an empty object": lambda: pack({}),
        "an array": lambda: pack([]),
        "no JSON": lambda: zlib.compress(b"words", 9, GZIP),
        "more after the end": lambda: _read(TOKENIZER) + b"\0",
    }
    for name, make in files.items():
        yield Hostile(f"tokenizer: {name}", replacing(TOKENIZER, make), TOKENIZER)
    yield Hostile(
        "tokenizer: a bomb of 400 MB",
        replacing(TOKENIZER, lambda: _bomb(400 << 20)),
        TOKENIZER,
        True,
    )
    for name, place, value in _list_changes():

        def damage(bundle: Path, place: Any = place, value: Any = value) -> None:
            document = json.loads(zlib.decompress(_read(TOKENIZER), GZIP))
            put(document, place, value)
            replace_file(bundle, TOKENIZER, pack(document))

        yield Hostile(f"tokenizer: {name}", damage, TOKENIZER)


def _list_changes() -> Iterator[tuple[str, tuple[str | int, ...], Any]]:
    """Yield (name, place, value) of what must not stand in a tokenizer's document."""
    kinds, lengths = "characters", ("characters", "lengths")
    wrong: dict[tuple[str | int, ...], list[Any]] = {
        ("other",): [1],
        ("tokenizer",): [{"normalizer": {"type": "Lowercase"}}],
        ("rules",): [None, "", "words-1", "words-3", "WORDS-2", 2, ["words-2"], "a" * 10**6],
        ("max_length",): [8],
        (kinds,): [None, [], {}, "14.0", {"unicode": "14.0"}],
        (kinds, "other"): [1],
        (kinds, "unicode"): [None, 14.0, "\u202e14", "1" * 10**4],
        (kinds, "kinds"): ["", "w", None, "w" * 10**6, ["w"], 5, "\u0442" * 1910],
        lengths: [
            "",
            "110000",
            None,
            [1],
            "0x110000",
            "-1",
            "1_0",
            "f" * 50_000,
            "1 " * 10**6,
            "\u0661",
            _read_lengths().replace(" ", "  0 ", 1),
            "0 " + _read_lengths(),
            _read_lengths() + " 1",
            _read_lengths()[:-1],
        ],
        ("words",): [None, [], {}],
        ("words", "shared"): ["", "0100", "010000", "0100/", "0100Y", "0100\u00e9", None, 5],
        ("words", "endings"): [
            "",
            "[PAD] UNK] good bad",
            "[PAD] UNK] good bad good",
            "[PAD] UNK] good bad ",
            "[PAD] UNK] good bad film ",
            "[PAD] UNK] good bad \ud800",
            None,
            [],
        ],
    }
    for place, values in wrong.items():
        for index, value in enumerate(values):
            yield f"{show_place(place)} {index}", place, value
    yield "one word", ("words",), {"shared": "0", "endings": "[UNK]"}


def _read_lengths() -> str:
    lengths: str = json.loads(zlib.decompress(_read(TOKENIZER), GZIP))["characters"]["lengths"]
    return lengths
