"""How a bundle is damaged: what every kind of hostile bundle is made with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST, MODEL, TOKENIZER = "manifest.json", "model.onnx", "tokenizer.json.gz"


class Hostile(NamedTuple):
    """One hostile bundle.

    Args:
        name: Of the test.
        damage: Changes a copy of the tiny bundle.
        file: The file that the refusal must name; "" where it may be one or another.
        is_slow: It takes about a second to make or to refuse.
    """

    name: str
    damage: Callable[[Path], object]
    file: str = MANIFEST
    is_slow: bool = False


def read_manifest(bundle: Path) -> Any:
    return json.loads((bundle / MANIFEST).read_text())


def write_manifest(bundle: Path, document: Any) -> None:
    (bundle / MANIFEST).write_text(json.dumps(document))


def put(document: Any, place: tuple[str | int, ...], value: Any) -> None:
    """Set a value in a parsed document: put({"a": [1]}, ("a", 0), 2)."""
    for step in place[:-1]:
        document = document[step]
    document[place[-1]] = value


def change(place: tuple[str | int, ...], value: Any) -> Callable[[Path], None]:
    """Return the damage of one field of the manifest."""

    def damage(bundle: Path) -> None:
        document = read_manifest(bundle)
        put(document, place, value)
        write_manifest(bundle, document)

    return damage


def rewrite(change_text: Callable[[str], str]) -> Callable[[Path], None]:
    """Return the damage of the manifest's text."""

    def damage(bundle: Path) -> None:
        path = bundle / MANIFEST
        changed = change_text(path.read_text())
        path.write_bytes(changed.encode("utf-8", "surrogatepass"))

    return damage


def replace_file(bundle: Path, name: str, content: bytes) -> None:
    """Put other content in the place of a file, and make its hash right again."""
    (bundle / name).write_bytes(content)
    document = read_manifest(bundle)
    document["files"][name] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    write_manifest(bundle, document)


def replacing(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    """Return the damage of a whole file, which is made only when it is needed."""
    return lambda bundle: replace_file(bundle, name, make())


def show_place(place: tuple[str | int, ...]) -> str:
    return ".".join(map(str, place))
