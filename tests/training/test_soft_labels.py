"""Soft labels: read, checked, encoded, weighed; hard ones cost nothing and stay as they are."""

import copy
import hashlib
import json
import pickle
from decimal import Decimal

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from handler.inference.tasks import SingleLabel
from training.errors import DataError
from training.fitting.encoded import (
    MIN_WEIGHT,
    Encoded,
    encode_part,
    encode_parts,
    join_encoded,
    scale_weights,
)
from training.fitting.fit import fit
from training.objectives.single_label import SingleLabelObjective
from training.rows.columns import Columns
from training.rows.data import Data, Part, Sources, read_sources
from training.rows.readers import read_dataset
from training.rows.soft_labels import SoftLabel, list_labels
from training.rows.survey import survey_data
from training.settings import Settings
from training.tokenizer import train_tokenizer

OBJECTIVE = SingleLabelObjective(SingleLabel(["mixed", "neg", "pos"]))
SECRET = "nobody may see this"
NUMBERS = "wanted numbers from 0 to 1"


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def write_lines(path, rows):
    return write(path, "".join(f"{json.dumps(row)}\n" for row in rows))


def test_a_soft_label_is_its_most_probable_one():
    label = SoftLabel({"pos": 0.2, "neg": 0.8})

    assert (label, json.dumps(label), {label}) == ("neg", '"neg"', {"neg"})
    assert label.probabilities == {"pos": 0.2, "neg": 0.8}
    assert SoftLabel({"pos": 0.5, "neg": 0.5}) == "neg"
    assert pickle.loads(pickle.dumps(label)).probabilities == label.probabilities
    assert copy.copy(label).probabilities == label.probabilities
    assert list_labels([label, "mixed"]) == {"mixed", "neg", "pos"}


def test_a_cell_holds_a_label_or_a_json_object(tmp_path):
    rows = 'text,label\na,"{""pos"": 0.75, "" neg "": 0.25}"\nb,pos\nc,{odd}\nd,"{""pos"":1}"\n'

    dataset = read_dataset(write(tmp_path / "a.csv", rows))

    assert dataset.labels == ["pos", "pos", "{odd}", "pos"]
    assert [getattr(label, "probabilities", None) for label in dataset.labels] == [
        {"pos": 0.75, "neg": 0.25},
        None,
        None,
        {"pos": 1.0},
    ]


def test_objects_of_json_lines_and_structs_of_parquet_are_read(tmp_path):
    rows = [
        {"text": "a", "label": {"pos": 0.75, "neg": 0.25}},
        {"text": "b", "label": {"pos": None, "neg": 1}},
    ]
    lines = write_lines(tmp_path / "a.jsonl", rows)
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")

    found = [read_dataset(path).labels for path in (lines, tmp_path / "a.parquet")]

    for labels in found:
        assert labels[0].probabilities == {"pos": 0.75, "neg": 0.25}
        assert labels[1].probabilities == {"pos": 0.0, "neg": 1.0}


def test_each_label_may_have_a_column(tmp_path):
    path = write(tmp_path / "a.csv", "pos,text,neg,w\n0.75,a,0.25,2\n,b,1,0.5\n")
    columns = Columns(labels=("pos", "neg"), weight="w")

    dataset = read_dataset(path, columns)

    assert [label.probabilities for label in dataset.labels] == [
        {"pos": 0.75, "neg": 0.25},
        {"pos": 0.0, "neg": 1.0},
    ]
    assert dataset.weights == [2.0, 0.5]
    assert dataset.columns == columns


def test_columns_survive_the_metadata_of_a_run():
    import dataclasses

    columns = Columns(labels=("pos", "neg"), weight="w", group="film")

    stored = json.loads(json.dumps(dataclasses.asdict(columns)))

    assert Columns.from_json(stored) == columns
    assert Columns.from_json({"text": "t", "label": "l", "group": None}) == Columns("t", "l")


def test_a_sum_of_about_one_is_made_one(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"text": "a", "label": {"pos": 0.333, "neg": 0.666}}])

    (label,) = read_dataset(path).labels

    assert sum(label.probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_normalized_labels_are_one(tmp_path):
    row = {"text": "a", "label": {"Pos": 0.25, "pos": 0.5, "neg": 0.25}}
    path = write_lines(tmp_path / "a.jsonl", [row])

    (label,) = read_dataset(path, Columns(normalize_labels=True)).labels

    assert label.probabilities == {"pos": 0.75, "neg": 0.25}


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ({"pos": 0.5, "neg": 0.4}, "has probabilities whose sum is 0.9, wanted 1"),
        ({"pos": 1.002}, f"has what is no probability, {NUMBERS}"),
        ({"pos": -0.1, "neg": 1}, f"has what is no probability, {NUMBERS}"),
        ({"pos": True, "neg": 0}, f"has what is no probability, {NUMBERS}"),
        ({"pos": [SECRET]}, f"has what is no probability, {NUMBERS}"),
        ({"pos": SECRET}, f"has what is no probability, {NUMBERS}"),
        ({"": 1}, "has a probability of a label without a name"),
        ({}, "has probabilities whose sum is 0, wanted 1"),
        ('{"pos": NaN, "neg": 1}', f"has what is no probability, {NUMBERS}"),
        ('{"pos": 0.5, "pos": 0.5}', "has two probabilities of one label"),
        ({"pos": 0.5, " pos": 0.5}, "has two probabilities of one label"),
        ({"a\u202eb": 1}, "holds a character that does not show or reorders others"),
        ('{"a\\ud800": 1}', "has a label that is not Unicode text"),
        ('{"pos": 0.5', "begins as a JSON object and is none"),
        ('{"pos": 1} ' + SECRET, "begins as a JSON object and is none"),
        ('{"pos":' * 100_000, "begins as a JSON object and is none"),
    ],
)
def test_an_object_that_is_no_probabilities_is_refused_with_its_row(cell, problem, tmp_path):
    good = {"text": "fine", "label": "pos"}
    path = write_lines(tmp_path / "a.jsonl", [good, {"text": SECRET, "label": cell}])

    with pytest.raises(DataError) as caught:
        read_dataset(path)

    assert str(caught.value).startswith(f"{path}: row 2: column 'label' {problem}")
    assert str(caught.value).endswith("Mend the cell or remove the row.")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0.5,a,0.4,1", "column 'pos,neg' has probabilities whose sum is 0.9"),
        (",a,,1", "column 'pos,neg' has probabilities whose sum is 0, wanted 1"),
        (f"{SECRET},a,1,1", "column 'pos' has what is no probability"),
        ("nan,a,1,1", "column 'pos' has what is no probability"),
        ("0,a,1,", "column 'w' is no weight, wanted a number above 0"),
        ("0,a,1,0", "column 'w' is no weight"),
        ("0,a,1,-2", "column 'w' is no weight"),
        ("0,a,1,inf", "column 'w' is no weight"),
        (f"0,a,1,{SECRET}", "column 'w' is no weight"),
    ],
)
def test_a_column_that_is_no_number_is_refused_with_its_row(line, problem, tmp_path):
    path = write(tmp_path / "a.csv", f"pos,text,neg,w\n0,a,1,1\n{line}\n")

    with pytest.raises(DataError) as caught:
        read_dataset(path, Columns(labels=("pos", "neg"), weight="w"))

    assert str(caught.value).startswith(f"{path}: row 2: {problem}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(labels=("pos", "mixed")), "no column 'mixed'; .* Name it with --label-columns"),
        (Columns(weight="w"), "no column 'w'; .* Name it with --weight-column"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_its_option(columns, message, tmp_path):
    path = write(tmp_path / "a.csv", "text,label,pos\na,pos,1\n")

    with pytest.raises(DataError, match=message):
        read_dataset(path, columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(weight="w"), "no column 'w'. Leave --weight-column out, or put texts, labels and"),
        (Columns(labels=("a", "b")), "no column 'a'. Leave --label-columns out"),
    ],
)
def test_a_folder_has_neither_probabilities_nor_weights(columns, message, tmp_path):
    (tmp_path / "pos").mkdir()
    write(tmp_path / "pos" / "1.txt", "fine")

    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path, columns)


def test_the_hash_of_hard_labels_is_what_it_was_and_soft_ones_and_weights_count(tmp_path):
    hard = write(tmp_path / "a.csv", "text,label,w\na,pos,1\nb,neg,2\n")
    soft = [
        write_lines(tmp_path / f"{name}.jsonl", [{"text": "a", "label": {"pos": p, "neg": 1 - p}}])
        for name, p in (("a", 0.75), ("b", 0.5))
    ]

    hashes = [read_dataset(hard).sha256, read_dataset(hard, Columns(weight="w")).sha256]
    hashes += [read_dataset(path).sha256 for path in soft]

    assert hashes[0] == hashlib.sha256(b'["a", "pos"]["b", "neg"]').hexdigest()
    assert len(set(hashes)) == 4


def test_targets_are_the_probabilities_and_figures_are_of_the_most_probable():
    labels = [SoftLabel({"pos": 0.6, "neg": 0.4}), "mixed", SoftLabel({"neg": 1.0})]
    outputs = np.array([[0, 0, 1], [1, 0, 0], [0.5, 0.25, 0.25]], np.float32)

    targets = OBJECTIVE.encode(labels)
    figures = OBJECTIVE.evaluate(labels, outputs)

    np.testing.assert_allclose(targets, [[0, 0.4, 0.6], [1, 0, 0], [0, 1, 0]], atol=1e-7)
    assert targets.dtype == np.float32
    expected = OBJECTIVE.evaluate(["pos", "mixed", "neg"], outputs)
    assert figures == expected
    np.testing.assert_array_equal(OBJECTIVE.logit_targets(targets), targets)


def test_hard_targets_are_as_before():
    labels = ["pos", "neg", "mixed", "pos"]

    targets = OBJECTIVE.encode(labels)

    np.testing.assert_array_equal(targets, np.eye(3, dtype=np.float32)[[2, 1, 0, 2]])
    np.testing.assert_array_equal(OBJECTIVE.logit_targets(targets), targets > 0.5)


def test_a_label_that_the_model_does_not_know_is_refused_in_an_object_too():
    with pytest.raises(DataError, match="^row 1 has a label that the model does not know"):
        OBJECTIVE.encode([SoftLabel({"pos": 1.0, "other": 0.0})])


def test_sources_know_labels_that_no_row_has_as_its_own(tmp_path):
    rows = [
        {"text": f"text {i}", "label": {"pos": p, "neg": 0.9 - p, "mixed": 0.1}}
        for i, p in enumerate((0.7, 0.2, 0.6))
    ]
    train = write_lines(tmp_path / "train.jsonl", rows)
    dev = write_lines(tmp_path / "dev.jsonl", [{"text": "d", "label": {"new": 0.1, "pos": 0.9}}])

    data = read_sources(Sources(train))

    assert data.objective.task.labels == ("mixed", "neg", "pos")
    assert data.objective.strata(data.objective.encode(data.train.labels)) == [2, 1, 2]
    assert "3 rows have probabilities" in survey_data(data, 1, 100).format()
    with pytest.raises(DataError, match=r"dev\.jsonl: row 1 has a label that no row of .* has"):
        read_sources(Sources(train, dev))


def test_a_hard_label_of_one_row_is_refused_beside_soft_ones_too(tmp_path):
    rows = [
        {"text": "a", "label": {"pos": 0.9, "neg": 0.1}},
        {"text": "b", "label": "pos"},
        {"text": "c", "label": {"pos": 0.1, "neg": 0.9}},
        {"text": "d", "label": "typo"},
    ]

    with pytest.raises(DataError, match=r"1 of 3 labels have one row only \('typo'\)"):
        read_sources(Sources(write_lines(tmp_path / "a.jsonl", rows)))


def test_a_split_keeps_each_row_with_its_weight(tmp_path):
    lines = [f"text {i},{'pos' if i % 2 else 'neg'},{i + 1}" for i in range(20)]
    path = write(tmp_path / "a.csv", "\n".join(["text,label,w", *lines]))
    data = read_sources(Sources(path, columns=Columns(weight="w")))

    parts = data.split(0.2, seed=0)

    assert isinstance(data, Data)
    assert [part.weights for part in parts] == [[float(row) for row in p.rows] for p in parts]
    assert sorted(len(part.texts) for part in parts) == [4, 16]


def test_encoded_rows_count_one_in_the_mean():
    tokenizer = train_tokenizer(["a b", "b c"], 10, 5)
    part = Part(["a", "b"], ["pos", "neg"], [1, 2], np.arange(2), [1.0, 3.0])

    weighted = encode_part(part, tokenizer, OBJECTIVE)
    plain = encode_part(
        Part(["a", "b"], ["pos", "neg"], [1, 2], np.arange(2)), tokenizer, OBJECTIVE
    )

    np.testing.assert_array_equal(weighted.weights, np.array([0.5, 1.5], np.float32))
    np.testing.assert_array_equal(plain.weights, np.ones(2, np.float32))
    assert weighted.weights.dtype == plain.weights.dtype == np.float32
    assert (weighted.is_weighted, plain.is_weighted) == (True, False)


def test_a_weight_may_be_a_decimal_or_a_number_in_a_text(tmp_path):
    table = pyarrow.table({"text": ["a"], "label": ["pos"], "w": [Decimal("1.50")]})
    parquet.write_table(table, tmp_path / "a.parquet")

    assert read_dataset(tmp_path / "a.parquet", Columns(weight="w")).weights == [1.5]


def fit_bias(encoded, tmp_path, name):
    """Fit a model whose outputs are the same for every text; return them."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    objective = SingleLabelObjective(SingleLabel(["neg", "pos"]))
    token_ids = keras.Input((None,), dtype="int32")
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(3, 1, "zeros")(token_ids))
    logits = layers.Dense(1)(hidden)
    model = keras.Model(token_ids, objective.add_head(logits))
    settings = Settings(recipe="stacked", epochs=60, batch_size=2, learning_rate=0.1, patience=0)
    fit(model, encoded, encoded, settings, objective, tmp_path / name)
    return model(np.ones((1, 1), np.int32)).numpy()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "weights", "expected"),
    [
        ([[1, 0], [0, 1]], None, 0.5),
        ([[1, 0], [0, 1]], [0.4, 1.6], 0.8),
        ([[0.3, 0.7], [0.1, 0.9]], None, 0.8),
    ],
)
def test_fitting_finds_what_soft_and_weighted_rows_are_in_the_mean(
    targets, weights, expected, tmp_path
):
    numbers = None if weights is None else np.array(weights, np.float32)
    encoded = Encoded([[1], [1]], np.array(targets, np.float32), weights=numbers)

    outputs = fit_bias(encoded, tmp_path, "checkpoint.npz")

    assert outputs[1] == pytest.approx(expected, abs=0.03)  # AdamW walks around the optimum


def test_train_and_development_rows_of_one_file_are_weighed_on_one_scale(tmp_path):
    rows = [{"text": f"t {n}", "label": "pn"[n % 2], "w": 1 + 9 * (n > 15)} for n in range(20)]
    data = read_sources(
        Sources(write_lines(tmp_path / "a.jsonl", rows), columns=Columns(weight="w"))
    )
    split = data.split(0.2, seed=0)

    train, dev = encode_parts(data, split, train_tokenizer(data.train.texts, 50, 5))

    both = join_encoded(train, dev)
    given = np.array([*split[0].weights, *split[1].weights])
    np.testing.assert_allclose(both.weights, given / given.mean(), rtol=1e-6)
    assert train.weights.mean() != pytest.approx(1)


def test_weights_of_any_size_stay_finite_and_above_zero():
    weights = scale_weights([[1e308, 1e308], [1e-308]])

    np.testing.assert_allclose(weights[0], 1.5, rtol=1e-6)
    assert weights[1] == np.float32(MIN_WEIGHT)
    assert scale_weights([None]) == [None]
