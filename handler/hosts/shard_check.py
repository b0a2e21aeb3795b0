"""Whether all shards of a scoring are done: their records beside each other and the outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.hosts.shard_files import FOLDER, list_records, measure, read_json, write_json_at
from handler.hosts.shards import FORMAT_VERSION, hash_names

MANIFEST = "manifest.json"
SHOWN = 10  # shards or files that a message names


def check_shards(out: str) -> dict[str, Any]:
    """Return the manifest of a scoring whose shards are all done, and write it.

    Every output is read, and held against what its shard wrote down.

    Raises:
        InvalidInput: A shard is missing, shards were of different jobs, an output was changed, or
            rows are missing; the message says which.
    """
    out = out.rstrip("/")
    records = [_read_record(f"{out}/{FOLDER}/{name}") for name in list_records(out)]
    _check_records(out, records)
    files = [file for record in records for file in record["files"]]
    job = records[0]["job"]
    inputs = _check_inputs(out, files, job)
    changed = [file["output"] for file in files if not _is_unchanged(out, file)]
    if changed:
        raise InvalidInput(f"{out}: no longer what their shards wrote: {_show(changed)}")
    manifest = {
        "format_version": FORMAT_VERSION,
        "num_shards": records[0]["num_shards"],
        "job": job,
        "rows": sum(file["rows"] for file in files),
        "rejected": sum(file["rejected"] for file in files),
        "inputs": inputs,
        "outputs": [
            {name: file[name] for name in ("output", "bytes", "sha256", "rows", "rejected")}
            for file in sorted(files, key=lambda file: str(file["output"]))
        ],
    }
    write_json_at(f"{out}/{FOLDER}/{MANIFEST}", manifest)
    return manifest


def _check_records(out: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidInput unless they are of all shards of one job."""
    counts = sorted({record["num_shards"] for record in records})
    if len(counts) != 1:
        found = f"of {' and of '.join(map(str, counts))} shards" if counts else "none"
        raise InvalidInput(f"{out}/{FOLDER}: wanted the records of one --shard I/N, found {found}")
    missing = sorted(set(range(counts[0])) - {record["number"] for record in records})
    if missing:
        raise InvalidInput(
            f"{out}: {len(missing)} of {counts[0]} shards are not done: {_show(missing)}. Run "
            "them again: what they have done already is kept"
        )
    if len({json.dumps(record["job"], sort_keys=True) for record in records}) > 1:
        raise InvalidInput(
            f"{out}: shards differ in model, reading or inputs: {_differences(records)}"
        )


def _check_inputs(
    out: str, files: Sequence[Mapping[str, Any]], job: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return each input with its rows, all of which were scored or rejected once."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for file in files:
        grouped.setdefault(file["input"], []).append(file)
    if len(grouped) != job["num_inputs"] or hash_names([*grouped]) != job["inputs_sha256"]:
        raise InvalidInput(f"{out}: the shards had {len(grouped)} of {job['num_inputs']} inputs")
    inputs = []
    for name, parts in sorted(grouped.items()):
        if len({(part["input_id"], part["input_rows"]) for part in parts}) > 1:
            raise InvalidInput(f"{out}: {name} was another file for some of its shards")
        count = parts[0]["part"][1]
        if sorted(part["part"] for part in parts) != [[index, count] for index in range(count)]:
            raise InvalidInput(f"{out}: the parts of {name} are not each there once")
        rows, wanted = sum(part["rows"] for part in parts), parts[0]["input_rows"]
        if rows != wanted:
            raise InvalidInput(f"{out}: {name} has {wanted} rows, its shards read {rows}")
        inputs.append({"input": name, "input_id": parts[0]["input_id"], "rows": rows})
    return inputs


def _is_unchanged(out: str, file: Mapping[str, Any]) -> bool:
    found = measure(f"{out}/{file['output']}")
    return found is not None and all(found[name] == file[name] for name in found)


def _differences(records: Sequence[Mapping[str, Any]]) -> str:
    first = records[0]["job"]
    other = next(record for record in records if record["job"] != first)
    names = [name for name in first if first[name] != other["job"].get(name)]
    return f"{', '.join(names)} of shards {records[0]['number']} and {other['number']}"


def _read_record(place: str) -> dict[str, Any]:
    record = read_json(place)
    wanted = {"number": int, "num_shards": int, "job": dict, "files": list}
    if record is None or not all(isinstance(record.get(key), kind) for key, kind in wanted.items()):
        raise InvalidInput(f"{place}: is no record of a shard. Run the shard again with --force")
    if record.get("format_version") != FORMAT_VERSION:
        raise InvalidInput(f"{place}: another release of minnow has written it; use that one")
    return record


def _show(names: Sequence[object]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
