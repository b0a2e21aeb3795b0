"""`minnow score` with objects: from S3, to S3, stopped between, and what cannot be reached."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handler.hosts import bulk, file_job
from minnow.cli import main

TEXTS = ["good film", "bad film", "good " * 5000, "good"]


@pytest.fixture
def s3(aws: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = aws("s3")
    client.create_bucket(
        Bucket="texts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["text"], *([text] for text in TEXTS)])
    client.put_object(
        Bucket="texts", Key="in/a.csv.gz", Body=gzip.compress(buffer.getvalue().encode())
    )
    return client


def list_keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket="texts")["Contents"]]


def read_labels(content: bytes) -> list[str]:
    rows = csv.DictReader(io.StringIO(gzip.decompress(content).decode(), newline=""))
    return [row["predicted_label"] for row in rows]


def test_an_object_is_scored_into_an_object_and_its_rejected_rows(
    s3: Any, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["s3://texts/in/a.csv.gz", "--out", "s3://texts/out/", "--quiet", "--json"]

    assert main(["score", str(tiny_bundle), *flags]) == 0

    (summary,) = json.loads(capsys.readouterr().out)["files"]
    assert (summary["output"], summary["rows"], summary["rejected"]) == (
        "s3://texts/out/a.csv.gz",
        4,
        1,
    )
    assert list_keys(s3) == ["in/a.csv.gz", "out/a.csv.gz", "out/a.csv.gz.rejected"]
    result = s3.get_object(Bucket="texts", Key="out/a.csv.gz")["Body"].read()
    assert read_labels(result) == ["pos", "neg", "pos"]
    rejected = s3.get_object(Bucket="texts", Key="out/a.csv.gz.rejected")["Body"].read()
    assert json.loads(rejected)["row"] == 3
    assert not (tmp_path / "cache").exists()


def test_an_object_is_scored_into_a_file_and_a_file_into_an_object(
    s3: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    down, up = tmp_path / "b.csv.gz", "s3://texts/up.csv.gz"

    codes = [
        main(["score", str(tiny_bundle), source, "--out", out, "--quiet"])
        for source, out in (("s3://texts/in/a.csv.gz", str(down)), (str(down), up))
    ]

    assert codes == [0, 0]
    assert read_labels(down.read_bytes()) == ["pos", "neg", "pos"]
    # Scored once more, the good rows are the same, and none is left to be rejected.
    assert s3.get_object(Bucket="texts", Key="up.csv.gz")["Body"].read() == down.read_bytes()
    assert list_keys(s3) == ["in/a.csv.gz", "up.csv.gz"]


def test_a_result_that_could_not_be_uploaded_is_made_and_uploaded_by_the_next_run(
    s3: Any, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(tiny_bundle), "s3://texts/in/a.csv.gz", "--quiet"]
    command += ["--out", "s3://later/a.csv.gz"]

    first = main(command)
    message = capsys.readouterr().err
    location = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="later", CreateBucketConfiguration=location)
    second = main(command)

    assert (first, second) == (1, 0)
    assert message.startswith("minnow: s3://later/a.csv.gz: cannot be written: ")
    assert "NoSuchBucket" in message
    assert message.count("\n") == 1
    result = s3.get_object(Bucket="later", Key="a.csv.gz")["Body"].read()
    assert read_labels(result) == ["pos", "neg", "pos"]


@pytest.mark.slow
def test_a_stopped_run_into_an_object_goes_on_where_it_was(
    s3: Any, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"{'good' if number % 3 else 'bad'}\n" for number in range(9000))
    s3.put_object(Bucket="texts", Key="a.txt", Body=lines.encode())
    command = ["score", str(tiny_bundle), "s3://texts/a.txt", "--quiet"]
    main([*command, "--out", "s3://texts/whole.txt"])
    monkeypatch.setattr(file_job, "CHECKPOINT_S", 0)
    predict, blocks = bulk.predict_each, []

    def stop_at_the_fifth(classifier: Any, texts: list[str]) -> Any:
        blocks.append(texts)
        if len(blocks) == 5:
            raise KeyboardInterrupt
        return predict(classifier, texts)

    monkeypatch.setattr(bulk, "predict_each", stop_at_the_fifth)

    codes, counts = [], []
    for _ in range(2):
        codes.append(main([*command, "--out", "s3://texts/stopped.txt"]))
        counts.append(len(blocks))

    assert codes == [130, 0]
    assert counts[1] - counts[0] == 5  # of 9 blocks, the four that were sure are not scored again
    whole, stopped = (
        s3.get_object(Bucket="texts", Key=key)["Body"].read()
        for key in ("whole.txt", "stopped.txt")
    )
    assert stopped == whole


def test_an_object_that_is_not_there_is_one_line(
    s3: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["score", str(tiny_bundle), "s3://texts/b.csv", "--out", "s3://texts/c.csv"])

    assert code == 1
    assert capsys.readouterr().err == (
        "minnow: s3://texts/b.csv: the object cannot be read: NoSuchKey\n"
    )
