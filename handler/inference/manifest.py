"""`manifest.json`: what a bundle is, and the types, sizes and ranges of every field of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from handler.errors import ArtefactError
from handler.inference.checks import (
    array,
    is_sha256,
    number,
    one_of,
    record,
    refuse,
    show,
    text,
    told,
    whole,
)
from handler.inference.tasks import MAX_LABELS, Task, read_task

if TYPE_CHECKING:
    from handler.inference.profile import Profile

FORMAT_VERSION = 5
MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json.gz"
# Largest sizes in bytes. 10,000 long labels are 1 MB of manifest; the float32 model of two LSTMs
# of 128 units is 11 MB, and Lambda has room for 140 beside what serves; 20,000 words are 0.04 MB.
MAX_BYTES = {MANIFEST: 2 << 20, MODEL: 128 << 20, TOKENIZER: 4 << 20}
MAX_WORDS = 500_000  # 0.1 GB in memory; 25 times the default of `minnow train`
MAX_LENGTH = 65_536  # tokens of one text, of which a request has 20,000 characters
PRECISIONS = ("int8", "float32")
MAX_NAME_CHARACTERS = 128
NAME_SIGNS = "._-"  # of what needs no escape in a path; "." and ".." mean something else there
# Of the task's `output_scale`. Export writes 0.02 at most; a lost scale or length gives 0.3.
MAX_GOLDEN_ATOL = 0.05
MAX_GOLDEN_CHARACTERS = 20_000  # what a request may have
MAX_CARD_CHARACTERS = 20_000  # of one text; an example may be as long as a request
MAX_CARD_TEXTS = 100


class Golden(NamedTuple):
    """A text whose outputs are known: the last check before a bundle serves."""

    text: str
    outputs: tuple[float, ...]
    atol: float


class File(NamedTuple):
    """What the manifest says of another file: its hash, in hexadecimal, and its size."""

    sha256: str
    size_bytes: int


class Card(NamedTuple):
    """What people should know of a model, in the words of whoever made it; all may be empty."""

    summary: str = ""
    data: str = ""
    terms: str = ""
    intended_use: str = ""
    known_failures: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()  # texts to try


class Manifest(NamedTuple):
    """The bundle's description; `task` says what the columns of the outputs mean."""

    name: str
    version: str
    task: Task
    max_length: int
    pad_id: int
    unknown_id: int
    precision: str
    golden: Golden
    files: Mapping[str, File]
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    card: Card = Card()
    profile: Profile | None = None  # of rows that the model was not fitted to

    @property
    def columns(self) -> Mapping[str, Any]:
        """How the columns of the training were called: `text`, `label`; empty if unknown."""
        columns: Mapping[str, Any] = self.provenance.get("columns", {})
        return columns


def check_name(field: str, value: object) -> str:
    """Return `value` if it can stand in an address as a model's name or version."""
    is_short = isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS
    # A regular expression would take a third of a millisecond of every start to compile.
    if not is_short or not _is_safe(str(value)):
        raise ArtefactError(
            f"the model's {field} is {show(value)}, wanted letters from a to z, digits, '.', '_' "
            f"and '-', at most {MAX_NAME_CHARACTERS}, the first a letter or digit: it is part of "
            "addresses such as /v2/models/NAME/versions/VERSION."
        )
    return str(value)


def _is_safe(name: str) -> bool:
    letters = name.translate(str.maketrans("", "", NAME_SIGNS))
    return name.isascii() and letters.isalnum() and name[0] not in NAME_SIGNS


def parse_manifest(document: Any) -> Manifest:
    """Return the manifest in a parsed `manifest.json`.

    Raises:
        ArtefactError: A field is missing, unknown, or not what it may be.
    """
    found = document.get("format_version") if isinstance(document, dict) else None
    if type(found) is not int or found != FORMAT_VERSION:
        raise ArtefactError(f"format_version is {show(found)}, this build reads {FORMAT_VERSION}.")
    fields: dict[str, Any] = _read_fields(document, "")
    del fields["format_version"]
    manifest = Manifest(**fields)
    if manifest.pad_id == manifest.unknown_id:
        refuse("unknown_id", manifest.unknown_id, "another id than pad_id")
    check_golden_fields(manifest.golden, manifest.task)
    if manifest.profile is not None:
        from handler.inference.profile import check_profile

        check_profile(manifest.profile, manifest.task)
    return manifest


def check_golden_fields(golden: Golden, task: Task) -> None:
    """Raise ArtefactError unless the golden outputs are an answer of the task."""
    if len(golden.outputs) != task.num_outputs:
        raise ArtefactError(
            f"golden.outputs has {len(golden.outputs)} numbers, wanted {task.num_outputs}, as the "
            "task has outputs."
        )
    if flaw := task.find_flaw(golden.outputs):
        raise ArtefactError(f"golden.outputs {flaw}: no answer of a {task.kind} task.")
    most = MAX_GOLDEN_ATOL * task.output_scale
    if not 0 < golden.atol <= most:
        refuse("golden.atol", golden.atol, f"more than 0 and at most {most:g}")


def parse_card(document: Any) -> Card:
    """Return the card of a manifest, or of a file of its own.

    Raises:
        ArtefactError: A field that is not what it may be, or that a card does not have.
    """
    fields = _read_card(document, "card")
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Card(**known)


def _read_sha256(value: Any, field: str) -> str:
    if not isinstance(value, str) or not is_sha256(value):
        refuse(field, value, "a sha256: 64 digits and letters from a to f")
    return value


def _read_files(value: Any, field: str) -> dict[str, File]:
    def of(name: str) -> Any:
        return record({"sha256": _read_sha256, "size_bytes": whole(1, MAX_BYTES[name])})

    files = record({name: of(name) for name in (MODEL, TOKENIZER)})(value, field)
    return {name: File(**entry) for name, entry in files.items()}


def _read_golden(value: Any, field: str) -> Golden:
    outputs = array(number, MAX_LABELS, least=1)
    golden = record({"text": text(MAX_GOLDEN_CHARACTERS), "outputs": outputs, "atol": number})
    fields = golden(value, field)
    return Golden(fields["text"], tuple(fields["outputs"]), fields["atol"])


def _read_provenance(value: Any, field: str) -> Mapping[str, Any]:
    """Return the provenance; of all that it tells, only the columns' names are used."""
    provenance = told(value, field)
    columns = provenance.get("columns", {})
    is_named = isinstance(columns, dict) and all(
        isinstance(columns.get(name, ""), str) for name in ("text", "label")
    )
    if not is_named or not isinstance(columns.get("normalize_labels", False), bool):
        raise ArtefactError(f"{field}.columns are not the names of columns, wanted text and label.")
    return provenance


def _read_profile(value: Any, field: str) -> Profile:
    from handler.inference.profile import read_profile  # not for a bundle without one

    return read_profile(value, field)


_card_text = text(MAX_CARD_CHARACTERS, allowed="\n\t")
_card_texts = array(_card_text, MAX_CARD_TEXTS)
_read_card = record(
    {},
    {
        "summary": _card_text,
        "data": _card_text,
        "terms": _card_text,
        "intended_use": _card_text,
        "known_failures": _card_texts,
        "examples": _card_texts,
    },
)
_read_fields = record(
    {
        "format_version": one_of(FORMAT_VERSION),
        "name": lambda value, field: check_name(field, value),
        "version": lambda value, field: check_name(field, value),
        "task": lambda value, field: read_task(value),
        "max_length": whole(1, MAX_LENGTH),
        "pad_id": whole(0, MAX_WORDS - 1),
        "unknown_id": whole(0, MAX_WORDS - 1),
        "precision": one_of(*PRECISIONS),
        "golden": _read_golden,
        "files": _read_files,
        "metrics": told,
        "provenance": _read_provenance,
    },
    {"card": lambda value, field: parse_card(value), "profile": _read_profile},
)
