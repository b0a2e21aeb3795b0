"""`minnow.Scorer`: batches in, predictions beside them out, the same in every process."""

import concurrent.futures
import csv
import multiprocessing
import os
import pickle
import shutil

import numpy as np
import pandas
import pytest

import minnow
from handler.inference import classifier as classifiers
from minnow import scorer as scorers
from minnow.cli import main
from tests.helpers.fresh_python import run_python
from tests.helpers.moto import aws, moto_url  # noqa: F401  (fixtures)
from tests.helpers.multi_label import copy_bundle
from tests.helpers.number_bundles import write_ordinal, write_regression
from tests.helpers.repositories import write_labelled

TEXTS = ["good film", "bad", "good good", "zebra", ""]
FROM_PICKLE = """
import pickle, sys
scorer = pickle.load(open(sys.argv[1], "rb"))
print("onnxruntime" in sys.modules, *scorer({"text": ["good", "bad"]})["predicted_label"])
"""


@pytest.fixture
def opened(monkeypatch):
    """The sessions that this process opens from now on."""
    monkeypatch.setattr(scorers, "_sessions", {})
    made, real = [], classifiers.open_classifier

    def count(bundle, *arguments, **named):
        made.append(bundle.sha256)
        return real(bundle, *arguments, **named)

    monkeypatch.setattr(classifiers, "open_classifier", count)
    return made


def plain(result):
    """Return the arrays' dtypes and values."""
    return {name: (str(array.dtype), array.tolist()) for name, array in result.items()}


def test_a_batch_comes_back_with_the_columns_of_score(tiny_bundle):
    score = minnow.Scorer(tiny_bundle)

    result = score({"id": np.array([7, 8], np.int32), "text": ["good film", "bad"]})

    chance = pytest.approx([0.880797, 0.880797], abs=1e-6)
    assert plain(result) == {
        "id": ("int32", [7, 8]),
        "text": ("object", ["good film", "bad"]),
        "predicted_label": ("object", ["pos", "neg"]),
        "predicted_score": ("float64", chance),
        "model_version": ("object", ["1", "1"]),
    }
    assert score.size_bytes == sum(
        (tiny_bundle / name).stat().st_size for name in ("model.onnx", "tokenizer.json.gz")
    )


def make_bundle(task, tiny_bundle, selective_bundle, folder):
    makers = {
        "single-label": lambda: tiny_bundle,
        "multi-label": lambda: copy_bundle(tiny_bundle, folder / "multi"),
        "regression": lambda: write_regression(folder),
        "ordinal": lambda: write_ordinal(folder),
        "selective": lambda: selective_bundle,
    }
    return makers[task]()


@pytest.mark.parametrize(
    "task", ["single-label", "multi-label", "regression", "ordinal", "selective"]
)
def test_every_task_gives_what_score_writes(task, tiny_bundle, selective_bundle, tmp_path):
    bundle = make_bundle(task, tiny_bundle, selective_bundle, tmp_path)
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in TEXTS)])
    out = str(tmp_path / "b.csv")
    assert main(["score", str(bundle), str(tmp_path / "a.csv"), "--out", out, "--quiet"]) == 0
    with open(out, newline="") as file:
        wanted = list(csv.DictReader(file))
    score = minnow.Scorer(bundle)

    result = score({"text": TEXTS})

    assert list(result) == list(wanted[0])
    assert {name: str(result[name].dtype) for name in score.columns} == score.columns
    for name in score.columns:
        found, cells = result[name].tolist(), [row[name] for row in wanted]
        if score.columns[name] == "float64":
            np.testing.assert_allclose(found, [*map(float, cells)], rtol=0, atol=1e-6)  # decimals
        else:
            assert found == cells


@pytest.mark.parametrize("rejects", ["raise", "column"])
@pytest.mark.parametrize("texts", [[], np.array([], object), np.array([], "U1")], ids=[0, 1, 2])
def test_an_empty_batch_has_the_same_columns(texts, rejects, tiny_bundle, opened):
    score = minnow.Scorer(tiny_bundle, rejects=rejects)

    result = score({"text": texts})

    assert {name: str(result[name].dtype) for name in score.columns} == score.columns
    assert [len(values) for values in result.values()] == [0] * len(result)
    assert opened == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "is null, wanted a string"),
        (float("nan"), "is null, wanted a string"),
        (pandas.NA, "is null, wanted a string"),
        (7, "is a number, wanted a string"),
        ("\ud800", "holds a lone surrogate at character 0, wanted Unicode text"),
        ("good" * 10, "has 40 characters, the limit is 20"),
    ],
    ids=["none", "nan", "pandas", "number", "surrogate", "long"],
)
def test_a_text_that_cannot_be_scored_is_named_or_told_in_a_column(text, problem, tiny_bundle):
    batch = {"text": ["good"] * 1500 + [text, "bad"]}

    with pytest.raises(minnow.InvalidInput, match=f"^text\\[1500\\] {problem}$"):
        minnow.Scorer(tiny_bundle, max_characters=20)(batch)
    result = minnow.Scorer(tiny_bundle, max_characters=20, rejects="column")(batch)

    assert result["rejected"].tolist() == [""] * 1500 + [f"text {problem}", ""]
    assert result["predicted_label"][1499:].tolist() == ["pos", "", "neg"]
    assert np.isnan(result["predicted_score"]).tolist() == [False] * 1500 + [True, False]


def test_an_error_survives_a_pickle_as_engines_send_it(tiny_bundle):
    with pytest.raises(minnow.InvalidInput) as caught:
        minnow.Scorer(tiny_bundle)({"body of": ["good"]})

    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == (
        "the batch's columns are body of; wanted text among them, once: Scorer(bundle, "
        "text_column=NAME) names another"
    )


def test_columns_of_different_lengths_are_refused(tiny_bundle):
    with pytest.raises(minnow.InvalidInput, match=r"columns have \[1, 2\] rows"):
        minnow.Scorer(tiny_bundle)({"id": [1, 2], "text": ["good"]})


def test_a_frame_is_a_batch_and_two_columns_are_one_text(tiny_bundle):
    frame = pandas.DataFrame({"title": ["good", None], "body": ["bad bad", "good"], "n": [1, 2]})
    frame.index = [5, 9]

    result = minnow.Scorer(tiny_bundle, text_column="title,body")(frame)

    assert result["predicted_label"].tolist() == ["neg", "pos"]
    assert result["n"].tolist() == [1, 2]


def test_a_second_scoring_replaces_the_columns_of_the_first(tiny_bundle, selective_bundle):
    first = minnow.Scorer(selective_bundle)({"text": ["good"], "id": [1]})

    second = minnow.Scorer(tiny_bundle)(first)

    assert list(second) == ["text", "id", "predicted_label", "predicted_score", "model_version"]


def test_predictions_are_those_of_a_loaded_model(tiny_bundle):
    score = minnow.Scorer(tiny_bundle)

    assert score.predict(TEXTS) == minnow.load(tiny_bundle).predict(TEXTS)
    assert score.predict([]) == []
    with pytest.raises(TypeError, match="texts is one string"):
        score.predict("good")


def test_the_session_is_opened_at_the_first_batch_and_once_a_process(tiny_bundle, opened):
    score = minnow.Scorer(tiny_bundle)
    copies = [pickle.loads(pickle.dumps(score)) for _ in range(8)]
    assert opened == []

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda copy: copy({"text": TEXTS}), [*copies, score]))

    assert opened == [score.sha256]
    assert {str(plain(result)) for result in results} == {str(plain(results[0]))}


@pytest.mark.slow
@pytest.mark.parametrize("carry", [True, False])
def test_a_pickle_is_scored_in_a_fresh_process(carry, tiny_bundle, tmp_path):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (tmp_path / "scorer").write_bytes(pickle.dumps(minnow.Scorer(bundle, carry=carry)))
    if carry:
        shutil.rmtree(bundle)  # as on a machine without the disk

    result = run_python(FROM_PICKLE, str(tmp_path / "scorer"))

    assert result.stdout == "False pos neg\n"


def score_in_child(scorer, queue):
    queue.put((os.getpid(), scorer({"text": ["good"]})["predicted_label"].tolist()))


def test_a_process_that_was_forked_opens_its_own_session(tiny_bundle, opened):
    score = minnow.Scorer(tiny_bundle)
    score({"text": ["good"]})
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    with scorers._opening:  # another thread may just be at it
        child = context.Process(target=score_in_child, args=(score, queue))
        child.start()
    child.join(30)

    assert child.exitcode == 0
    assert queue.get() == (child.pid, ["pos"])


def test_a_pickle_is_small_where_the_bundle_is_not_carried(tiny_bundle):
    carried, named = (
        len(pickle.dumps(minnow.Scorer(tiny_bundle, carry=carry))) for carry in (True, False)
    )

    assert named < 1000
    assert carried > minnow.Scorer(tiny_bundle).size_bytes


def test_a_bundle_that_was_replaced_meanwhile_is_refused(tiny_bundle, tmp_path, opened):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    sent = pickle.dumps(minnow.Scorer(bundle, carry=False))
    other = write_labelled(tiny_bundle, tmp_path / "other", "nice")
    shutil.copy(other / "manifest.json", bundle)

    with pytest.raises(minnow.ArtefactError, match=f"{bundle}: sha256 is .* was replaced mean"):
        pickle.loads(sent)({"text": ["good"]})


def test_only_a_trusted_bundle_is_taken_in_each_process(tiny_bundle, monkeypatch, opened):
    score = minnow.Scorer(tiny_bundle)
    monkeypatch.setenv("MINNOW_BUNDLE_SHA256", "0" * 64)

    with pytest.raises(minnow.ArtefactError, match=str(tiny_bundle)):
        score({"text": ["good"]})
    with pytest.raises(minnow.ArtefactError, match=str(tiny_bundle)):
        minnow.Scorer(tiny_bundle)


@pytest.mark.slow
@pytest.mark.parametrize("carry", [True, False])
def test_a_bundle_is_read_from_a_bucket(carry, tiny_bundle, aws, opened):  # noqa: F811
    s3 = aws("s3")
    s3.create_bucket(
        Bucket="models", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name}
    )
    for path in tiny_bundle.iterdir():
        s3.put_object(Bucket="models", Key=f"films/{path.name}", Body=path.read_bytes())
    sent = pickle.dumps(minnow.Scorer("s3://models/films", carry=carry))
    if not carry:
        assert pickle.loads(sent)({"text": ["bad"]})["predicted_label"].tolist() == ["neg"]
    s3.delete_object(Bucket="models", Key="films/model.onnx")
    scorers._sessions.clear()

    if carry:
        assert pickle.loads(sent)({"text": ["bad"]})["predicted_label"].tolist() == ["neg"]
    else:
        with pytest.raises(minnow.ArtefactError, match=r"s3://models/films/model.onnx: no such"):
            pickle.loads(sent)({"text": ["bad"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rejects": "drop"}, "rejects is 'drop', wanted"),
        ({"threads": 0}, "wanted whole numbers of 1 or more"),
    ],
    ids=["rejects", "threads"],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, message, tiny_bundle):
    with pytest.raises(ValueError, match=message):
        minnow.Scorer(tiny_bundle, **arguments)


def test_a_folder_that_is_no_bundle_is_refused_at_once(tmp_path):
    with pytest.raises(minnow.ArtefactError, match=str(tmp_path)):
        minnow.Scorer(tmp_path)
