"""`minnow score --shard`: processes that share inputs, and the check that all are done."""

import csv
import json
import signal
import subprocess
import sys
import time

import pyarrow
import pytest
from pyarrow import parquet

from handler.errors import InvalidInput
from handler.hosts.bulk import score_files
from handler.hosts.shard_check import check_shards
from handler.hosts.shards import Shard, name_part, read_shard
from handler.rows.parts import Part
from handler.rows.score import BLOCK_ROWS
from tests.helpers.repositories import write_labelled
from tests.helpers.tables import read_parquet, write_rows

NUM_ROWS = 4 * BLOCK_ROWS + 100


def read_ids(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [int(row["id"]) for row in csv.DictReader(file)]


def run_all(bundle, inputs, out, count):
    return [score_files(bundle, inputs, f"{out}/", shard=Shard(i, count)) for i in range(count)]


@pytest.mark.parametrize("num_rows", [0, 1, 1023, 1024, 1025, 3 * 1024, 5000, 100_000])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_row_is_of_one_part_and_counted(num_rows, count):
    parts = [Part(index, count) for index in range(count)]

    numbers = [[n for n in range(1, num_rows + 1) if part.has(n)] for part in parts]

    assert sorted(sum(numbers, [])) == list(range(1, num_rows + 1))
    assert [part.count_rows(num_rows) for part in parts] == [len(own) for own in numbers]


@pytest.mark.parametrize("num_inputs", [1, 2, 3, 5, 16, 17])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16])
def test_each_part_of_each_input_is_of_one_shard(num_inputs, count):
    shares = [Shard(index, count).share_out(num_inputs) for index in range(count)]

    found = sorted(share for own in shares for share in own)

    assert {index for index, _ in found} == set(range(num_inputs))
    for index in range(num_inputs):
        parts = [part for other, part in found if other == index]
        assert parts == [Part(number, len(parts)) for number in range(len(parts))]
    assert all(shares)


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("out/a.csv", "out/a.part-00002-of-00016.csv"),
        ("out/a.b.jsonl.gz", "out/a.b.part-00002-of-00016.jsonl.gz"),
        ("s3://bucket/x.y/a.parquet", "s3://bucket/x.y/a.part-00002-of-00016.parquet"),
    ],
    ids=["csv", "packed", "bucket"],
)
def test_a_part_is_named_before_the_ending(output, named):
    assert name_part(output, Part(2, 16)) == named


@pytest.mark.parametrize("text", ["", "3", "16/16", "-1/4", "1/0", "a/4", "1/4/2", "0/100000"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="wanted I/N with I from 0 to N-1"):
        read_shard(text)


def test_parts_together_are_the_whole_file(tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", NUM_ROWS)
    score_files(tiny_bundle, [str(source)], f"{tmp_path}/whole/")

    summaries = run_all(tiny_bundle, [str(source)], tmp_path / "out", 3)

    parts = [tmp_path / "out" / f"a.part-{i:05d}-of-00003.csv" for i in range(3)]
    lines = [path.read_bytes().splitlines(keepends=True) for path in parts]
    whole = (tmp_path / "whole" / "a.csv").read_bytes()
    assert {own[0] for own in lines} == {whole.splitlines(keepends=True)[0]}
    assert sorted(sum(map(read_ids, parts), [])) == read_ids(tmp_path / "whole" / "a.csv")
    assert sorted(b"".join(b"".join(own[1:]) for own in lines)) == sorted(whole.split(b"\n", 1)[1])
    rejected = sorted(
        (tmp_path / "whole" / "a.csv.rejected").read_text().splitlines(),
        key=lambda line: json.loads(line)["row"],
    )
    found = "".join((path.parent / f"{path.name}.rejected").read_text() for path in parts)
    assert sorted(found.splitlines(), key=lambda line: json.loads(line)["row"]) == rejected
    assert [own.rows for (own,) in summaries] == [2 * 1024, 1024 + 100, 1024]
    assert {own.input_rows for (own,) in summaries} == {NUM_ROWS}


def test_a_parquet_file_is_shared_too(tiny_bundle, tmp_path):
    table = pyarrow.table({"id": range(2500), "text": ["good", "bad"] * 1250})
    parquet.write_table(table, tmp_path / "a.parquet")

    run_all(tiny_bundle, [str(tmp_path / "a.parquet")], tmp_path / "out", 2)

    manifest = check_shards(str(tmp_path / "out"))
    rows = [
        row
        for path in (tmp_path / "out").glob("*.parquet")
        for row in read_parquet(path.read_bytes())
    ]
    assert sorted(row["id"] for row in rows) == list(range(2500))
    assert {row["predicted_label"] for row in rows if row["id"] % 2} == {"neg"}
    assert (manifest["rows"], manifest["rejected"]) == (2500, 0)


def test_more_inputs_than_shards_are_shared_as_wholes(tiny_bundle, tmp_path):
    for name in "abc":
        write_rows(tmp_path / f"{name}.csv", 10)

    run_all(tiny_bundle, [f"{tmp_path}/*.csv"], tmp_path / "out", 2)

    manifest = check_shards(f"{tmp_path}/out/")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == [
        "a.csv",
        "b.csv",
        "c.csv",
    ]
    assert [(one["input"], one["rows"]) for one in manifest["inputs"]] == [
        ("a.csv", 10),
        ("b.csv", 10),
        ("c.csv", 10),
    ]
    assert (manifest["rows"], manifest["rejected"], manifest["num_shards"]) == (30, 3, 2)
    written = tmp_path / "out" / "_shards" / "manifest.json"
    assert json.loads(written.read_text()) == manifest


def test_a_shard_that_is_done_is_passed_over_and_forced_anew(tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", 3000)
    (first,) = score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(1, 2))
    output = tmp_path / "out" / "a.part-00001-of-00002.csv"
    written = output.stat().st_mtime_ns

    (again,) = score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(1, 2))
    assert (again, output.stat().st_mtime_ns) == (first, written)
    score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(1, 2), force=True)

    assert output.stat().st_mtime_ns > written


def test_a_shard_of_another_model_is_refused_and_replaces_nothing(tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", 10)
    score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(0, 2))
    before = (tmp_path / "out" / "a.part-00000-of-00002.csv").read_bytes()
    other = write_labelled(tiny_bundle, tmp_path / "other", "nice")

    with pytest.raises(InvalidInput, match="another model, reading or list of inputs"):
        score_files(other, [str(source)], f"{tmp_path}/out/", shard=Shard(0, 2))
    score_files(other, [str(source)], f"{tmp_path}/out/", shard=Shard(1, 2))

    assert (tmp_path / "out" / "a.part-00000-of-00002.csv").read_bytes() == before
    with pytest.raises(InvalidInput, match="differ in .*bundle_sha256 of shards 0 and 1"):
        check_shards(f"{tmp_path}/out")


def test_a_foreign_file_in_the_place_of_an_output_is_kept(tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", 10)
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "a.part-00000-of-00002.csv"
    mine.write_text("mine")

    with pytest.raises(InvalidInput, match="exists already"):
        score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(0, 2))

    assert mine.read_text() == "mine"


def drop_record(out):
    (out / "_shards" / "00001-of-00002.json").unlink()


def break_record(out):
    (out / "_shards" / "00001-of-00002.json").write_text("{")


def add_record_of_another_count(out):
    (out / "_shards" / "00000-of-00003.json").write_text(
        (out / "_shards" / "00000-of-00002.json")
        .read_text()
        .replace('"num_shards": 2', '"num_shards": 3')
    )


def change_output(out):
    (out / "a.part-00001-of-00002.csv").write_text("id,text\n")


def remove_output(out):
    (out / "a.part-00001-of-00002.csv").unlink()


def edit_record(out, change):
    path = out / "_shards" / "00001-of-00002.json"
    record = json.loads(path.read_text())
    change(record["files"][0])
    path.write_text(json.dumps(record))


def lose_rows(out):
    edit_record(out, lambda file: file.update(rows=file["rows"] - 1))


def score_another_input(out):
    edit_record(out, lambda file: file.update(input_id="0" * 64))


def score_a_part_twice(out):
    edit_record(out, lambda file: file.update(part=[0, 2]))


def score_another_name(out):
    edit_record(out, lambda file: file.update(input="b.csv"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_record, "1 of 2 shards are not done: 1. Run them again"),
        (break_record, "00001-of-00002.json: is no record of a shard"),
        (add_record_of_another_count, "found of 2 and of 3 shards"),
        (change_output, "no longer what their shards wrote: a.part-00001-of-00002.csv"),
        (remove_output, "no longer what their shards wrote: a.part-00001-of-00002.csv"),
        (lose_rows, "a.csv has 3000 rows, its shards read 2999"),
        (score_another_input, "a.csv was another file for some of its shards"),
        (score_a_part_twice, "the parts of a.csv are not each there once"),
        (score_another_name, "the shards had 2 of 1 inputs"),
    ],
)
def test_what_is_not_done_or_not_the_same_is_no_manifest(spoil, message, tiny_bundle, tmp_path):
    out = tmp_path / "out"
    run_all(tiny_bundle, [str(write_rows(tmp_path / "a.csv", 3000))], out, 2)
    spoil(out)

    with pytest.raises(InvalidInput, match=message):
        check_shards(str(out))

    assert not (out / "_shards" / "manifest.json").exists()


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="wanted the records of one --shard I/N, found none"):
        check_shards(str(tmp_path))


@pytest.mark.parametrize(
    ("out", "review", "message"),
    [("one.csv", None, "end it with /"), ("out/", "review/", "--review: not with --shard")],
    ids=["file", "review"],
)
def test_what_a_shard_cannot_do_is_refused(out, review, message, tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", 10)

    with pytest.raises(InvalidInput, match=message):
        score_files(
            tiny_bundle, [str(source)], f"{tmp_path}/{out}", review=review, shard=Shard(0, 2)
        )


@pytest.mark.slow
def test_a_killed_shard_goes_on_and_gives_the_same_bytes(tiny_bundle, tmp_path):
    source = write_rows(tmp_path / "a.csv", 120_000)
    score_files(tiny_bundle, [str(source)], f"{tmp_path}/once/", shard=Shard(1, 3))
    command = [sys.executable, "-m", "minnow", "score", str(tiny_bundle), str(source), "--quiet"]
    command += ["--out", f"{tmp_path}/out/", "--shard", "1/3"]
    name = "a.part-00001-of-00003.csv"
    state = tmp_path / "out" / f"{name}.partial" / "state.json"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    (summary,) = score_files(tiny_bundle, [str(source)], f"{tmp_path}/out/", shard=Shard(1, 3))

    assert summary.rows == Part(1, 3).count_rows(120_000)
    for file in (name, f"{name}.rejected"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "once" / file).read_bytes()


@pytest.mark.slow
def test_all_objects_below_a_prefix_are_inputs(tiny_bundle, tmp_path, aws, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3 = aws("s3")
    where = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="data", CreateBucketConfiguration=where)
    content = write_rows(tmp_path / "a.csv", 10).read_bytes()
    others = ("in/", "in/_SUCCESS", "in/a.csv.rejected", "in/_shards/0.json", "in-old/z.csv")
    for key in ("in/b.csv", "in/a.csv", "in/more/c.csv", *others):
        s3.put_object(Bucket="data", Key=key, Body=content if key.endswith("csv") else b"x")

    run_all(tiny_bundle, ["s3://data/in/"], "s3://data/out", 2)

    manifest = check_shards("s3://data/out")
    assert [one["input"] for one in manifest["inputs"]] == ["a.csv", "b.csv", "c.csv"]
    with pytest.raises(InvalidInput, match="s3://data/none/: no such file"):
        score_files(tiny_bundle, ["s3://data/none/"], "s3://data/out/", shard=Shard(0, 2))


@pytest.mark.slow
def test_shards_share_a_bucket(tiny_bundle, tmp_path, aws, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3 = aws("s3")
    where = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="data", CreateBucketConfiguration=where)
    s3.put_object(
        Bucket="data", Key="in/a.csv", Body=write_rows(tmp_path / "a.csv", 3000).read_bytes()
    )
    inputs, out = ["s3://data/in/a.csv"], "s3://data/out"
    score_files(tiny_bundle, inputs, f"{out}/", shard=Shard(0, 2))
    with pytest.raises(InvalidInput, match="1 of 2 shards are not done: 1"):
        check_shards(out)
    (first,) = score_files(tiny_bundle, inputs, f"{out}/", shard=Shard(1, 2))

    assert score_files(tiny_bundle, inputs, f"{out}/", shard=Shard(1, 2)) == [first]
    assert check_shards(out)["rows"] == 3000
    s3.delete_object(Bucket="data", Key="out/a.part-00001-of-00002.csv")
    with pytest.raises(InvalidInput, match="no longer what their shards wrote"):
        check_shards(out)
