"""Files as people have them: training, evaluation, `minnow score` and S3 take each in one way."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from handler.errors import InvalidInput
from handler.events.dispatch import answer_event
from handler.hosts.bulk import score_files
from tests.helpers.aws import MakeResources
from tests.helpers.deployment import make_s3_event
from training.errors import DataError
from training.rows.readers import read_dataset


def write_parquet(texts: list[str | None], labels: list[str]) -> bytes:
    sink = io.BytesIO()
    columns = [pyarrow.array(texts, pyarrow.string_view()), pyarrow.array(labels)]
    parquet.write_table(pyarrow.Table.from_arrays(columns, ["text", "label"]), sink)
    return sink.getvalue()


# Name, content, rows that are scored, row -> what is said of it.
FILES: list[tuple[str, bytes, int, dict[int, str]]] = [
    ("comma.csv", b"label,text\npos,good, really good\nneg,bad\n", 1, {1: "it has 3 fields"}),
    ("short.csv", b"text,label\ngood,pos\nbad\n", 1, {2: "it has 1 fields"}),
    (
        "open_quote.csv.gz",
        gzip.compress(b'text,label\ngood,pos\n"bad,neg\n' + b"film,pos\n" * 3000),
        3001,
        {2: "a quote in it is never closed"},
    ),
    ("quote_inside.csv", b'text,label\n"good" film,pos\nbad,neg\n', 1, {1: "closing quote"}),
    ("plain_quotes.tsv", b'text\tlabel\n"good\tpos\nit is 5"\tneg\n"bad" film\tneg\n', 3, {}),
    ("semicolons.csv", b"review;stars\r\ngood, really;5\r\nbad;1\r\n", 2, {}),
    ("wide.csv", "text,label\ngood film,pos\nbad,neg\n".encode("utf-16"), 2, {}),
    ("western.csv", "text,label\nun bon café,pos\nbad film,neg\n".encode("cp1252"), 2, {}),
    ("ends.csv", b"text,label\rgood,pos\rbad,neg\r", 2, {}),
    ("inner_end.csv", b"text,label\ngood\rfilm,pos\nbad,neg\n", 1, {1: "a line end of another"}),
    ("bytes.jsonl", b'{"text": "b\xe9d", "label": "neg"}\n', 0, {1: "it is not UTF-8"}),
    ("broken.jsonl", b'{"text": "good", "label": "pos"}\n{"text": \n', 1, {2: "it is not JSON"}),
    ("half.jsonl", b'{"text": "good \\ud800", "label": "x"}\n', 0, {1: "a lone surrogate"}),
    ("array.json", b'[{"text": "good", "label": 1},\n {"text": "bad", "label": 0}]', 2, {}),
    ("null.parquet", write_parquet(["good", None], ["a", "b"]), 1, {2: "is null"}),
    ("fasttext.txt", b"__label__pos good film\n__label__neg bad\n", 2, {}),
]
# Name, content, why it is refused as a whole.
REFUSED = [
    ("names.csv", b"title,year\ngood,1999\n", "title"),
    ("data.csv", b"pos,a good film\nneg,bad\npos,good\n", "no header"),
    ("twice.csv", b"text,label,text\na,pos,b\n", "text"),
    ("several.csv", b"review,body,label\na,b,pos\n", "could be"),
    ("no_mark.csv", "text,label\ngood,pos\n".encode("utf-16-le"), "zero bytes"),
    ("cut.json", b'[{"text": "good", "label": "pos"},', "cut off"),
    ("other.parquet", b"text,label\n", "not Parquet"),
    ("cut.csv.gz", gzip.compress(b"text,label\n" + b"good,pos\n" * 900)[:-9], "cut off"),
]


def read_rejected(content: bytes) -> dict[int, str]:
    return {line["row"]: line["reason"] for line in map(json.loads, content.splitlines())}


@pytest.mark.parametrize(
    ("name", "content", "num_scored", "rejected"), FILES, ids=[file[0] for file in FILES]
)
def test_a_file_is_read_in_one_way_everywhere(
    name: str,
    content: bytes,
    num_scored: int,
    rejected: dict[int, str],
    tmp_path: Path,
    tiny_bundle: Path,
    s3: Any,
    make_resources: MakeResources,
) -> None:
    path, output = tmp_path / name, tmp_path / "out" / name
    path.write_bytes(content)
    s3.put_object(Bucket="texts", Key=name, Body=content)
    resources = make_resources(
        MINNOW_OBJECT_RESULTS="s3://results/", MINNOW_OBJECT_SOURCE="s3://texts/"
    )

    (summary,) = score_files(tiny_bundle, [str(path)], f"{tmp_path}/out/")
    answer_event(make_s3_event("texts", name), None, resources)

    assert (summary.rows - summary.rejected, summary.rejected) == (num_scored, len(rejected))
    stored = s3.get_object(Bucket="results", Key=f"texts/{name}")["Body"].read()
    assert stored == output.read_bytes()
    if rejected:
        found = read_rejected(output.with_name(f"{name}.rejected").read_bytes())
        body = s3.get_object(Bucket="results", Key=f"texts/{name}.rejected")["Body"].read()
        assert read_rejected(body) == found
        assert [*found] == [*rejected]
        assert [said for row, said in rejected.items() if said not in found[row]] == []
        first = min(rejected)
        with pytest.raises(DataError, match=f"row {first}: .*{rejected[first]}"):
            read_dataset(path)
    else:
        assert len(read_dataset(path)) == num_scored


@pytest.mark.parametrize(("name", "content", "reason"), REFUSED, ids=[file[0] for file in REFUSED])
def test_a_file_is_refused_as_a_whole_everywhere(
    name: str,
    content: bytes,
    reason: str,
    tmp_path: Path,
    tiny_bundle: Path,
    s3: Any,
    make_resources: MakeResources,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    s3.put_object(Bucket="texts", Key=name, Body=content)
    resources = make_resources(
        MINNOW_OBJECT_RESULTS="s3://results/", MINNOW_OBJECT_SOURCE="s3://texts/"
    )

    with pytest.raises(InvalidInput):
        score_files(tiny_bundle, [str(path)], f"{tmp_path}/out/")
    with pytest.raises(InvalidInput):
        answer_event(make_s3_event("texts", name), None, resources)
    with pytest.raises(DataError, match=reason):
        read_dataset(path)
    assert s3.list_objects_v2(Bucket="results").get("Contents", []) == []
