"""`minnow feedback` as it is typed, and `minnow train --add` of what it writes."""

import gzip
import json

import pytest

from handler.errors import DeliveryError
from minnow.cli import main
from tests.helpers.aws import ENVIRONMENT
from tests.helpers.moto import aws, moto_url
from training.errors import DataError
from training.feedback.documents import read_documents
from training.run_folder import read_run

__all__ = ["aws", "moto_url"]  # fixtures
SECRET = "words that nobody may see"


def write(path, *documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)


@pytest.fixture
def places(tmp_path):
    """Files of feedback, of results and of texts: three texts, of which one answer was right."""
    said = [
        {"feedback_id": f"f{n}", "result_id": f"r{n}", "index": 0, "label": label, "time": str(n)}
        for n, label in enumerate(("pos", "pos", "neg", "pos"))
    ]
    model = {"name": "films", "version": "3"}
    told = [
        {"result_id": f"r{n}", "id": f"m{n}", "model": model, "predictions": [{"label": answer}]}
        for n, answer in enumerate(("pos", "neg", "pos"))
    ]
    sent = [{"id": f"m{n}", "text": f"{SECRET} {n} {'so good' * n}"} for n in range(3)]
    return [
        write(tmp_path / f"{name}.jsonl", *documents)
        for name, documents in (("said", said), ("told", told), ("sent", sent))
    ]


def test_it_tells_figures_counts_and_no_text(places, tmp_path, capsys):
    said, told, sent = places
    out = tmp_path / "feedback.jsonl"

    code = main(["feedback", said, "--results", told, "--texts", sent, "--out", str(out)])

    printed = capsys.readouterr()
    assert code == 0
    assert printed.out.splitlines() == [
        "films, version 3",
        "  accuracy  0.3333 (95 %: 0.0615 to 0.7923), 1 of 3 right",
        "  pos  recall 0.5000 (0.09 to 0.91), precision 0.5000 (0.09 to 0.91), 2 texts",
        "  neg  recall 0.0000 (0.00 to 0.79), precision 0.0000 (0.00 to 0.79), 1 text",
        "  feedback on 3 of 3 texts (100.0%)",
        "4 feedback read",
        "       1  of unknown results (r3)",
        "Who gives feedback is no random sample of all texts: of all of them the model may be "
        "right more often, or less.",
        f"{out}\t3 rows, 1 without a text",
    ]
    assert printed.err == f"next: minnow train DATA --add {out} --out RUN\n"
    assert SECRET not in printed.out + printed.err
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == [
        "pos",
        "pos",
        "neg",
    ]


def test_it_prints_one_object(places, capsys):
    said, told, _ = places

    code = main(["feedback", said, "--results", told, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert (code, document["feedback"], document["unknown_ids"]) == (0, 4, ["r3"])
    assert document["models"][0]["accuracy"] == 1 / 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.jsonl"], 1, "gone.jsonl: no such file or folder."),
        (["gone.jsonl", "--out", "a.jsonl"], 2, "--out needs --texts"),
        (["gone.jsonl", "--texts", "a.jsonl"], 2, "--out needs --texts"),
        (["gone.jsonl", "--texts", "a", "--out", "a.parquet"], 1, "its name says no format"),
        (["gone.jsonl", "--texts", "a", "--out", "gone.jsonl"], 1, "would overwrite the input"),
    ],
    ids=["gone", "no-texts", "no-out", "format", "input"],
)
def test_what_cannot_be_done_is_one_line(arguments, code, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(["feedback", *arguments]) == code

    assert message in capsys.readouterr().err


def test_a_prefix_of_a_bucket_is_read_whole_in_the_order_of_its_keys(aws):
    s3 = aws("s3")
    where = {"LocationConstraint": ENVIRONMENT["AWS_DEFAULT_REGION"]}
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration=where)
    for name in ("said/b.json", "said/a.json", "said/deep/c.jsonl.gz", "said/no.txt", "other.json"):
        content = json.dumps({"result_id": name, "label": "pos"}).encode()
        body = gzip.compress(content) if name.endswith(".gz") else content
        s3.put_object(Bucket="kept", Key=name, Body=body)

    found = [one.document["result_id"] for one in read_documents("s3://kept/said/")]

    assert found == ["said/a.json", "said/b.json", "said/deep/c.jsonl.gz"]
    with pytest.raises(DataError, match="s3://kept/none/: no file of JSON there"):
        next(read_documents("s3://kept/none/"))
    with pytest.raises(DeliveryError, match="s3://gone/: cannot be listed: NoSuchBucket"):
        next(read_documents("s3://gone/"))


@pytest.mark.slow
def test_training_takes_the_rows_and_says_how_many(tiny_data, places, tmp_path, capsys):
    said, told, sent = places
    rows, run = tmp_path / "feedback.jsonl", tmp_path / "run"
    main(["feedback", said, "--results", told, "--texts", sent, "--out", str(rows)])

    code = main(
        ["train", str(tiny_data), "--add", str(rows), "--out", str(run), "--encoder", "none"]
    )

    assert code == 0
    assert f"added: {rows}, 3 of 3 rows are new (numbered from 301 on)" in capsys.readouterr().err
    data = read_run(run).metadata["data"]
    assert (data["train"]["rows"], data["added"]["new"]) == (300, 3)
    assert "added: 3 rows" in (run / "report.md").read_text()
