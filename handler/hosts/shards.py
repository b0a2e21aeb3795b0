"""Scoring shared out: the same command on any number of machines, each told which shard it is.

    scored/reviews.part-00003-of-00016.csv     the rows of the fourth shard of 16
    scored/_shards/00003-of-00016.json         what it read and wrote, once all of it is in place
    scored/_shards/manifest.json               all shards are done, by `shard_check.py`

Shards ask each other nothing: the inputs' names and the two numbers tell each what is its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from handler.errors import InvalidInput
from handler.hosts.file_job import Summary, open_input
from handler.hosts.shard_files import (
    FOLDER,
    base_name,
    measure,
    read_json,
    remove_file,
    write_json_at,
)
from handler.inference.classifier import Classifier
from handler.rows.formats import COMPRESSIONS
from handler.rows.options import ReadOptions
from handler.rows.parts import WHOLE, Part
from handler.settings import Limits

FORMAT_VERSION = 1


class Shard(NamedTuple):
    """Which of how many processes this is: `number` is 0 to `num_shards` - 1."""

    number: int
    num_shards: int

    def share_out(self, num_inputs: int) -> list[tuple[int, Part]]:
        """Return the inputs of this shard, by index, and its part of each.

        As many inputs as shards or more: whole inputs in turn. Fewer: each shard has a part of
        one, and an input as many parts as there are shards that have it.
        """
        if num_inputs >= self.num_shards:
            return [(index, WHOLE) for index in range(self.number, num_inputs, self.num_shards)]
        part, index = divmod(self.number, num_inputs)
        return [(index, Part(part, len(range(index, self.num_shards, num_inputs))))]

    @property
    def record(self) -> str:
        return f"{self.number:05d}-of-{self.num_shards:05d}.json"


def read_shard(text: str) -> Shard:
    """Return "3/16" as the fourth shard of 16; raises ValueError."""
    index, _, count = text.partition("/")
    are_numbers = all(part.isascii() and part.isdigit() for part in (index, count))
    if not are_numbers or not int(index) < int(count) <= 99_999:
        raise ValueError(f"{text!r} is no shard, wanted I/N with I from 0 to N-1, such as 0/16")
    return Shard(int(index), int(count))


def name_part(output: str, part: Part) -> str:
    """Return the output's name with the part's before its ending: a.csv.gz -> a.part-...csv.gz."""
    if part.num_parts == 1:
        return output
    folder, slash, name = output.rpartition("/")
    is_packed = name.rpartition(".")[2].lower() in COMPRESSIONS
    stem, *endings = name.rsplit(".", 2 if is_packed else 1)
    return ".".join(
        [f"{folder}{slash}{stem}", f"part-{part.number:05d}-of-{part.num_parts:05d}", *endings]
    )


def check_shard_options(out: str, review: str | None) -> None:
    """Raise InvalidInput for what a shard cannot do."""
    if not out.endswith("/"):
        raise InvalidInput(f"--out {out}: a shard writes into a folder: end it with /")
    if review is not None:
        raise InvalidInput("--review: not with --shard. The outputs have the column abstained")


def describe_job(
    classifier: Classifier,
    column: str,
    limits: Limits,
    options: ReadOptions,
    names: Sequence[str],
) -> dict[str, Any]:
    """Return what must be the same of all shards.

    Args:
        names: Of all inputs, whose folders may differ from machine to machine.
    """
    manifest = classifier.manifest
    return {
        "model": {"name": manifest.name, "version": manifest.version},
        "bundle_sha256": classifier.bundle_sha256,
        "text_column": column,
        "max_characters": limits.max_characters,
        "options": asdict(options),
        "num_inputs": len(names),
        "inputs_sha256": hash_names(names),
    }


class ShardRecord:
    """What a shard has done, beside its outputs.

    Args:
        out: The folder of the outputs, of a disk or a bucket.
        shard: Whose it is.
        job: What must be the same of all shards, as JSON has it.
    """

    def __init__(self, out: str, shard: Shard, job: Mapping[str, Any]) -> None:
        self.out = out.rstrip("/")
        self.shard = shard
        self.job = json.loads(json.dumps(job))
        self.place = f"{self.out}/{FOLDER}/{shard.record}"

    def read_done(self) -> list[Summary] | None:
        """Return the summaries of an earlier run of the same shard; None: there was none.

        Raises:
            InvalidInput: A shard of another job has written there.
        """
        record = read_json(self.place)
        if record is None:
            return None
        if record.get("job") != self.job:
            raise InvalidInput(
                f"{self.place}: another model, reading or list of inputs was scored into this "
                "folder. Name another one by --out; --force replaces it"
            )
        return [self._summarize(file) for file in record["files"]]

    def remove(self) -> None:
        """Take an earlier record away: what it says is about to be replaced."""
        remove_file(self.place)

    def write(self, inputs: Sequence[str], parts: Sequence[Part], done: Sequence[Summary]) -> None:
        """Write down what was done, once every output is in place."""
        files = []
        for name, part, summary in zip(inputs, parts, done, strict=True):
            files.append(
                {
                    "input": base_name(name),
                    "input_id": _identify(name),
                    "input_rows": summary.input_rows,
                    "part": list(part),
                    "output": base_name(summary.output),
                    **_measure_written(summary.output),
                    "rows": summary.rows,
                    "rejected": summary.rejected,
                    "reasons": summary.reasons,
                    "seconds": summary.seconds,
                }
            )
        document = {"format_version": FORMAT_VERSION, **self.shard._asdict()}
        write_json_at(self.place, {**document, "job": self.job, "files": files})

    def _summarize(self, file: Mapping[str, Any]) -> Summary:
        output = f"{self.out}/{file['output']}"
        return Summary(
            output,
            file["rows"],
            file["rejected"],
            file["seconds"],
            rejects=f"{output}.rejected" if file["rejected"] else "",
            reasons=file["reasons"],
            input_rows=file["input_rows"],
        )


def hash_names(names: Sequence[str]) -> str:
    """Return the sha256 of the inputs' names, without their folders: machines differ in those."""
    return hashlib.sha256("\n".join(sorted(map(base_name, names))).encode()).hexdigest()


def _measure_written(place: str) -> dict[str, Any]:
    if (found := measure(place)) is None:
        raise InvalidInput(f"{place}: was removed meanwhile. Run the shard again with --force")
    return found


def _identify(name: str) -> str:
    """Return what tells an input from others: of an object its etag, of a file its sha256."""
    if "://" not in name:
        return str(_measure_written(name)["sha256"])
    file, _, etag = open_input(name)
    file.close()
    return etag
