"""Manifests that must not be accepted: every field with every wrong value, and broken JSON."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.hostile import (
    MANIFEST,
    TOKENIZER,
    Hostile,
    change,
    put,
    read_manifest,
    rewrite,
    show_place,
    write_manifest,
)
from tests.helpers.selective_bundle import SELECTIVE

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "negative": -1,
    "fraction": 1.5,
    "enormous": 10**400,
    "empty": "",
    "text": "text",
    "control": "a\x1b[2J\nb",
    "long": "a" * 100_000,
    "array": [],
    "object": {},
    "nested": [[{"a": [[]]}]],
}
FILE = ("files", "model.onnx")
# Place of a field -> the values among WRONG that it may have.
PLACES: dict[tuple[str | int, ...], str] = {
    ("format_version",): "",
    ("name",): "text",
    ("version",): "text",
    ("task",): "",
    ("task", "kind"): "",
    ("task", "labels"): "",
    ("task", "labels", 0): "text",
    ("task", "abstain"): "",
    ("task", "abstain", "accuracy"): "",
    ("task", "abstain", "min_score"): "",
    ("task", "scope"): "",
    ("task", "scope", "coverage"): "",
    ("task", "scope", "information"): "long",  # digits; see "a scope of fewer words"
    ("task", "scope", "center"): "",
    ("task", "scope", "center", 0): "negative fraction",
    ("task", "scope", "precision"): "",
    ("task", "scope", "precision", 0): "fraction",
    ("task", "scope", "max_distance"): "fraction",
    ("task", "label_sets"): "",
    ("task", "label_sets", 0): "",
    ("task", "label_sets", 0, 0): "",
    ("task", "label_sets", 0, 1): "",
    ("max_length",): "",
    ("pad_id",): "",
    ("unknown_id",): "",
    ("precision",): "",
    ("golden",): "",
    ("golden", "text"): "",  # another text has other outputs
    ("golden", "outputs"): "",
    ("golden", "outputs", 0): "",
    ("golden", "atol"): "",
    ("files",): "",
    FILE: "",
    (*FILE, "sha256"): "",
    (*FILE, "size_bytes"): "",
    ("metrics",): "object",
    ("provenance",): "object",
    ("provenance", "columns"): "object",
    ("provenance", "columns", "text"): "empty text control long",
    ("provenance", "columns", "normalize_labels"): "true",
    ("card",): "object",
    ("card", "summary"): "empty text",
    ("card", "known_failures"): "array",
    ("card", "examples"): "array",
    ("card", "examples", 0): "empty text",
}
OBJECTS: tuple[tuple[str | int, ...], ...] = ((), ("task",), ("golden",), ("files",), FILE)
BAD_LABELS = {
    "two alike": ["pos", "pos"],
    "one": ["pos"],
    "none": [],
    "too many": [f"label {number}" for number in range(10_001)],
    "too long": ["pos", "n" * 257],
    "blanks before": [" pos", "neg"],
    "blanks after": ["pos", "neg\u3000"],
    "three": ["pos", "neg", "new"],
    "a number": ["pos", 1],
}
BAD_THRESHOLDS: dict[str, Any] = {
    "null": None,
    "none": {},
    "an array": [0.5, 0.5],
    "of no label": {"other": 0.5},
    "zero": {"pos": 0},
    "below zero": {"pos": -0.5},
    "over 1": {"pos": 1.5},
    "enormous": {"pos": 10**400},
    "a text": {"pos": "0.5"},
    "true": {"pos": True},
    "nested": {"pos": {"pos": 0.5}},
    "of hidden characters": {"pos\u202e": 0.5},
}
# Control characters, then those that change the direction, then those that do not show.
HIDDEN = (
    "\0\t\n\r\x1b\x7f\x85\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    "\u00ad\u200b\u2028\u2029\u2060\u2064\u2065\ufeff\ufff0\ufff9\U000e0001\U000e0002\U000e0041"
)
BAD_OUTPUTS = {
    "5 and -4": [5, -4],
    "both sure": [1, 1],
    "neither": [0, 0],
    "below 0": [1.1, -0.1],
    "one": [1],
    "three": [0.5, 0.3, 0.2],
    "other": [0.5, 0.5],
    "texts": ["0.88", "0.12"],
    "beyond float32": [1e39, -1e39],
}
BAD_SELECTIVE: dict[str, tuple[tuple[str, ...], Any]] = {
    "accuracy of 0": (("abstain", "accuracy"), 0),
    "accuracy of 1": (("abstain", "accuracy"), 1),
    "score above 1": (("abstain", "min_score"), 1.01),
    "no accuracy": (("abstain",), {"min_score": 0.5}),
    "another field": (("abstain",), {"accuracy": 0.9, "min_score": 0.5, "max": 1}),
    "digits in upper case": (("scope", "information"), "FF222"),
    "digits with a blank": (("scope", "information"), "ff 22"),
    "Arabic digits": (("scope", "information"), "ff\u0662\u0662\u0662"),
    "three centers": (("scope", "center"), [1, 2, 3]),
    "no distance": (("scope", "precision"), [1, 2, 1]),
    "a flat distance": (("scope", "precision"), [1, 1, 1]),
    "distance of 0": (("scope", "max_distance"), 0),
    "scope of all": (("scope", "coverage"), 1),
    "coverages that fall": (("label_sets",), [[0.9, 0.4], [0.8, 0.3]]),
    "thresholds that rise": (("label_sets",), [[0.8, 0.3], [0.9, 0.4]]),
    "coverage twice": (("label_sets",), [[0.8, 0.3], [0.8, 0.3]]),
    "coverage of 1": (("label_sets",), [[1, 0.3]]),
    "201 coverages": (("label_sets",), [[n / 300, 0.1] for n in range(1, 202)]),
    "a triple": (("label_sets",), [[0.8, 0.3, 0.1]]),
}
BAD_ATOL = {
    "zero": 0,
    "below zero": -1e-6,
    "large": 0.2,
    "one": 1,
    "enormous": 1e300,
    "tiny": 1e-300,
}
BAD_JSON: dict[str, bytes] = {
    "nothing": b"",
    "a blank": b" ",
    "no JSON": b"name: tiny\n",
    "an array": b"[]",
    "a number": b"3",
    "a long number": b'{"format_version": ' + b"9" * 5_000 + b"}",
    "deep arrays": b"[" * 9_000,
    "deep objects": b'{"a":' * 9_000,
    "brackets": b"[" + b"[]," * 500_000 + b"[]]",
    "UTF-16": '{"format_version": 3}'.encode("utf-16"),
    "Latin-1": '{"format_version": 3, "name": "caf\xe9"}'.encode("latin-1"),
    "random": bytes(range(256)) * 4,
}


def list_manifests() -> Iterator[Hostile]:
    """Yield every hostile bundle whose manifest alone is wrong."""
    yield from _list_wrong_values()
    yield from _list_other_fields()
    yield from _list_broken_json()
    for name, labels in BAD_LABELS.items():
        yield Hostile(f"labels: {name}", change(("task", "labels"), labels))
    for name, thresholds in BAD_THRESHOLDS.items():
        yield Hostile(f"thresholds: {name}", change(("task", "thresholds"), thresholds))
    for character in HIDDEN:
        label = f"p{character}s"
        yield Hostile(f"label with U+{ord(character):04X}", change(("task", "labels", 0), label))
    for name, (place, value) in BAD_SELECTIVE.items():
        yield Hostile(f"selective: {name}", _change_full(("task", *place), value))
    scope = {**SELECTIVE["scope"], "information": "2222"}
    yield Hostile("a scope of fewer words", change(("task", "scope"), scope), TOKENIZER)
    for name, outputs in BAD_OUTPUTS.items():
        yield Hostile(f"golden outputs: {name}", change(("golden", "outputs"), outputs))
    for name, atol in BAD_ATOL.items():
        yield Hostile(f"golden atol: {name}", change(("golden", "atol"), atol))
    yield Hostile("unknown_id of padding", change(("unknown_id",), 0))
    yield Hostile("unknown_id of no word", change(("unknown_id",), 5), TOKENIZER)
    yield Hostile("pad_id of no word", change(("pad_id",), 5), TOKENIZER)
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    yield Hostile("deep provenance", change(("provenance", "deep"), deep))
    yield Hostile("101 examples", change(("card",), {"examples": ["good"] * 101}))
    for field in ("name", "version"):
        for value in ("../x", "a b", "a/b", ".", "a\u202eb", "a" * 129, "caf\xe9"):
            yield Hostile(f"{field} {ascii(value[:9])}", change((field,), value))


def _list_wrong_values() -> Iterator[Hostile]:
    for place, accepted in PLACES.items():
        for name, value in WRONG.items():
            if name not in accepted.split():
                yield Hostile(f"{show_place(place)}: {name}", _change_full(place, value))


def _change_full(place: tuple[str | int, ...], value: Any) -> Any:
    """Return the damage of one field of a manifest that has all optional ones."""

    def damage(bundle: Path) -> None:
        document = read_manifest(bundle)
        document["provenance"]["columns"] = {"text": "text", "label": "label"}
        document["task"] |= copy.deepcopy(SELECTIVE)
        document["card"] = {"summary": "a", "known_failures": ["b"], "examples": ["c"]}
        put(document, place, value)
        write_manifest(bundle, document)

    return damage


def _list_other_fields() -> Iterator[Hostile]:
    for place in OBJECTS:
        yield Hostile(f"other field in {show_place(place)}", _change_full((*place, "nmae"), "x"))

        def remove(bundle: Path, place: Any, name: str) -> None:
            document = found = read_manifest(bundle)
            for step in place:
                found = found[step]
            del found[name]
            write_manifest(bundle, document)

        for name in _find_names(place):

            def damage(bundle: Path, place: Any = place, name: str = name) -> None:
                remove(bundle, place, name)

            yield Hostile(f"{show_place((*place, name))} is missing", damage)
    yield Hostile("other field in card", _change_full(("card", "x"), "x"))


def _find_names(place: tuple[str | int, ...]) -> list[str]:
    from tests.helpers.paths import TESTS

    document = read_manifest(TESTS / "tiny_bundle")
    for step in place:
        document = document[step]
    return list(document)


def _list_broken_json() -> Iterator[Hostile]:
    for name, content in BAD_JSON.items():

        def damage(bundle: Path, content: bytes = content) -> None:
            (bundle / MANIFEST).write_bytes(content)

        yield Hostile(f"JSON: {name}", damage)
    for tenths in range(1, 10):

        def cut(text: str, tenths: int = tenths) -> str:
            return text[: len(text) * tenths // 10]

        yield Hostile(f"JSON: cut at {tenths}0 %", rewrite(cut))
    for name in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
        for field, old in {
            "atol": "1e-06",
            "outputs": "0.8807970779778823",
            "metrics": "1.0",
        }.items():

            def swap(text: str, old: str = old, new: str = name) -> str:
                assert text.count(old) == 1, old
                return text.replace(old, new)

            yield Hostile(f"JSON: {name} in {field}", rewrite(swap))
    for name, old, new in (
        ("at the top", '"version": "1"', '"version": "1", "version": "1"'),
        ("the whole task", '"max_length": 8', '"max_length": 8, "task": {}'),
        ("inside", '"atol": 1e-06', '"atol": 1, "atol": 1e-06'),
        ("a hash", '"size_bytes": 323', '"size_bytes": 323, "sha256": ""'),
        ("in metrics", '"accuracy": 1.0', '"accuracy": 1.0, "accuracy": 0.5'),
    ):

        def double(text: str, old: str = old, new: str = new) -> str:
            assert text.count(old) == 1, old
            return text.replace(old, new)

        yield Hostile(f"JSON: twice {name}", rewrite(double))
    yield Hostile("JSON: more after the end", rewrite(lambda text: text + "{}"))
    yield Hostile("JSON: a byte order mark", rewrite(lambda text: "\ufeff" + text))
    yield Hostile("JSON: a comment", rewrite(lambda text: "// tiny\n" + text))
    for place in ("name", "text", "command"):

        def halve(text: str, place: str = place) -> str:
            return text.replace(f'"{place}": "', f'"{place}": "\\ud800')

        yield Hostile(f"JSON: half a surrogate pair in {place}", rewrite(halve))
    yield Hostile("JSON: half a pair in a key", rewrite(lambda t: t.replace("accuracy", "\\udfff")))
