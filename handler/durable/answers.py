"""What people answer about rows without an answer: one file of labels, checked as a whole.

s3://REVIEW/PREFIX/RUN/review.jsonl      what is asked, {"id", "text", ..., "label": ""} a line
s3://REVIEW/PREFIX/RUN/labels.*          what people put there: the columns id and label
s3://REVIEW/PREFIX/RUN/problems-N.jsonl  why the labels of round N were not taken
s3://REVIEW/PREFIX/RUN/rows/3.jsonl, answers/3.json, ask.json, report.json   our own
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from handler.aws import error_code
from handler.errors import DeliveryError, InvalidInput
from handler.events.work import ObjectRef
from handler.objects.source import ObjectFile, open_object
from handler.objects.upload import Upload
from handler.rows.formats import detect_format
from handler.rows.reader import open_rows
from handler.rows.rows import Row

MAX_PROBLEMS = 1000  # that are told at once: beyond, one cause is behind most of them
MAX_LABELLED = 1_000_000  # rows of a file of labels: 200 MB of memory


@dataclass(frozen=True)
class Places:
    """Where a run keeps what it asks and is answered."""

    bucket: str
    prefix: str

    def at(self, name: str) -> ObjectRef:
        return ObjectRef(self.bucket, f"{self.prefix}{name}")

    def part(self, number: int) -> ObjectRef:
        return self.at(f"rows/{number}.jsonl")

    def answers(self, number: int) -> ObjectRef:
        return self.at(f"answers/{number}.json")

    def url(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{name}"


@dataclass
class Labels:
    """A file of labels, as it is read.

    Attributes:
        taken: Number of an object -> row of its result -> label.
        problems: Row of the file, 0 for the file as a whole, and what is wrong; never what stands
            there.
    """

    taken: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    problems: list[tuple[int, str]] = field(default_factory=list)


def join_parts(client: Any, places: Places, numbers: Sequence[int]) -> None:
    """Write all parts as one file, `review.jsonl`, in order."""
    review = places.at("review.jsonl")
    upload = Upload(client, review.bucket, review.key, {}, "")
    try:
        for number in numbers:
            file, _ = open_object(client, places.part(number))
            stream = _buffered(file)
            while content := stream.read(1 << 20):
                upload.append(content)
        upload.finish()
    except Exception:
        upload.abort()
        raise


def check_labels(
    client: Any, places: Places, labels: Collection[str], numbers: Sequence[int], round_number: int
) -> dict[str, Any]:
    """Check people's labels, and put them aside by object; or say what is wrong with them.

    Args:
        labels: The model's.
        numbers: Of the objects with rows that are asked.
        round_number: Names the file of problems.

    Returns:
        `{"answered": {"3": 17, ...}, "problems": 0}`: rows of each object that have a label now.
        With a problem no label is taken, and `problems-N.jsonl` has the first thousand.
    """
    found = Labels()
    try:
        _read_labels(client, _find_file(client, places), frozenset(labels), found)
    except InvalidInput as error:
        found.problems.append((0, error.detail))
    if not found.problems:
        _check_ids(client, places, frozenset(numbers), found)
    if found.problems:
        told = [{"row": row, "reason": reason} for row, reason in found.problems[:MAX_PROBLEMS]]
        content = "".join(f"{json.dumps(problem)}\n" for problem in told)
        put(client, places.at(f"problems-{round_number}.jsonl"), content)
        return {"answered": {}, "problems": len(found.problems)}
    for number, answers in found.taken.items():
        put(client, places.answers(number), json.dumps(answers))
    counts = {str(number): len(answers) for number, answers in sorted(found.taken.items())}
    return {"answered": counts, "problems": 0}


def read_answers(client: Any, places: Places, number: int) -> dict[int, str]:
    """Return the labels of an object, by row, as `check_labels` put them aside."""
    file, _ = open_object(client, places.answers(number))
    return {int(row): label for row, label in json.loads(_buffered(file).read()).items()}


def put(client: Any, place: ObjectRef, content: str) -> None:
    """Write a small object.

    Raises:
        DeliveryError: It was not taken.
    """
    try:
        client.put_object(Bucket=place.bucket, Key=place.key, Body=content.encode())
    except Exception as error:
        raise DeliveryError(f"put_object failed: {error_code(error)}") from error


def _find_file(client: Any, places: Places) -> ObjectRef:
    """Return the file of labels; raise InvalidInput where there is none, or more than one."""
    try:
        reply = client.list_objects_v2(Bucket=places.bucket, Prefix=f"{places.prefix}labels.")
    except Exception as error:
        raise DeliveryError(f"list_objects_v2 failed: {error_code(error)}") from error
    keys = [entry["Key"] for entry in reply.get("Contents", [])]
    if len(keys) != 1:
        raise InvalidInput(f"{len(keys)} objects have names that begin with labels., wanted one")
    return ObjectRef(places.bucket, keys[0])


def _read_labels(client: Any, place: ObjectRef, labels: frozenset[str], found: Labels) -> None:
    file, _ = open_object(client, place)
    file_format = detect_format(place.key, read_only=True)
    rows = open_rows(_buffered(file), file_format, ["id", "label"])
    for row in rows:
        if row.number > MAX_LABELLED:
            raise InvalidInput(f"the file has more than {MAX_LABELLED} rows, the limit")
        if problem := _take(row, labels, found):
            found.problems.append((row.number, problem))


def _take(row: Row, labels: frozenset[str], found: Labels) -> str:
    """Take a row's label; return what is wrong with it, if anything is."""
    if row.problem:
        return row.problem
    name, value = row.values
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""  # nobody knew
    place = _read_id(name)
    if place is None:
        return "id is none of review.jsonl"
    if not isinstance(value, str):
        return f"label is {type(value).__name__}, wanted a string"
    label = value if value in labels else value.strip()
    if label not in labels:
        return f"label is none of the model's {len(labels)} labels"
    number, row_number = place
    if found.taken[number].setdefault(row_number, label) != label:
        return "id stands there twice, with two labels"
    return ""


def _read_id(name: object) -> tuple[int, int] | None:
    """Return object and row of an id: "3:17" -> (3, 17)."""
    parts = name.strip().split(":") if isinstance(name, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    if any(len(part) > 18 for part in parts):  # beyond any row, and int() of 5,000 digits raises
        return None
    return int(parts[0]), int(parts[1])


def _check_ids(client: Any, places: Places, numbers: frozenset[int], found: Labels) -> None:
    """Add a problem for each label of a row that was not asked."""
    for number, answers in found.taken.items():
        asked = {*_read_ids(client, places.part(number))} if number in numbers else set[int]()
        unknown = len(answers.keys() - asked)
        if unknown:
            reason = f"{unknown} ids that begin with {number}: are none of review.jsonl"
            found.problems.append((0, reason))


def _read_ids(client: Any, part: ObjectRef) -> Iterator[int]:
    file, _ = open_object(client, part)
    for line in _buffered(file):
        yield int(json.loads(line)["id"].split(":")[1])


def _buffered(file: ObjectFile) -> io.BufferedReader:
    return io.BufferedReader(file, 1 << 17)
