"""Class weights: what may be given, and what they mean."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from handler.inference.tasks import SingleLabel
from training.answers.class_weights import read_class_weight, settle_balance, weigh_rows
from training.errors import SettingsError
from training.fitting.encoded import Encoded
from training.objectives.single_label import SingleLabelObjective
from training.rows.readers import Dataset
from training.rows.soft_labels import SoftLabel

MAIL = SingleLabel(["ham", "spam"])


def make_dataset(labels, weights=None):
    return Dataset([""] * len(labels), labels, None, Path("rows.csv"), "", weights=weights)


def balance(labels, weights=None):
    objective = SingleLabelObjective(MAIL, {"class_weight": "balanced"})
    return settle_balance(objective, make_dataset(labels, weights)).aims["class_weight"]


def test_weights_are_read_from_json_or_a_file(tmp_path):
    path = tmp_path / "weights.json"
    path.write_bytes(b'\xef\xbb\xbf{"spam": 5, "ham": 0.5}\n')

    assert read_class_weight(" balanced") == "balanced"
    assert read_class_weight('{"spam": 5, "ham": 1}') == {"spam": 5.0, "ham": 1.0}
    assert read_class_weight(str(path)) == {"spam": 5.0, "ham": 0.5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balance", r"^--class-weight balance: no such file, and no JSON; wanted \"balanced\""),
        ("", "no such file, and no JSON"),
        ("a\0b", "no such file, and no JSON"),
        ("{spam: 5}", "^--class-weight: is not JSON, wanted"),
        ("{", "^--class-weight: is not JSON"),
        ("{}", "^--class-weight: names no label"),
        ('{"spam": -1}', "^--class-weight: the weight of 'spam' is -1, wanted a number from 1e-06"),
        ('{"spam": 0}', "the weight of 'spam' is 0, wanted a number"),
        ('{"spam": NaN}', "the weight of 'spam' is nan, wanted a number"),
        ('{"spam": Infinity}', "is inf, wanted a number"),
        ('{"spam": 1e999}', "is inf, wanted a number"),
        ('{"spam": 1e7}', "is 10000000.0, wanted a number"),
        ('{"spam": "5"}', "is a JSON str, wanted a number"),
        ('{"spam": true}', "is a JSON bool, wanted a number"),
        ('{"spam": null}', "is a JSON NoneType, wanted a number"),
        ('{"spam": {"ham": 1}}', "is a JSON list, wanted a number"),
        ('{"spam": 1, "spam": 2}', "the label 'spam' stands twice"),
        ('{"spam": ' + "9" * 5_000 + "}", "is not JSON"),
        ("{" + '"a":{' * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_weight_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        read_class_weight(given)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[1, 2]", "is no JSON object"),
        (b'"balanced"', "is no JSON object"),
        (b"spam,5\nham,1\n", "is not JSON"),
        (b'{"sp\xe4m": 1}', "is not UTF-8"),
        (b" " * (5 << 20), "has over 4 MB"),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "weights.json"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=f"weights.json: {message}"):
        read_class_weight(str(path))


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(SettingsError, match="no such file, and no JSON"):
        read_class_weight(str(tmp_path))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"spam": 5}, "^--class-weight: the label 'ham' has no weight. Give each label one."),
        (
            {"spam": 5, "ham": 1, "hem": 1},
            "^--class-weight: no row has the label 'hem'; the labels are 'ham', 'spam'.",
        ),
        ({"ham": 1, "spam": -1.0}, "the weight of 'spam' is -1.0, wanted a number"),
    ],
)
def test_each_label_has_a_weight_and_no_other(weights, message):
    with pytest.raises(SettingsError, match=message):
        SingleLabelObjective(MAIL, {"class_weight": weights})


def test_balanced_weights_are_those_of_scikit_learn():
    labels = ["spam"] * 3 + ["ham"] * 17
    expected = compute_class_weight("balanced", classes=np.array(MAIL.labels), y=labels)

    assert list(balance(labels).values()) == pytest.approx(expected, rel=1e-5)


def test_balance_counts_rows_by_their_weights_and_soft_labels_in_part():
    twice = balance(["spam", "spam", "ham", "ham", "ham"])
    assert balance(["spam", "ham", "ham", "ham"], [2.0, 1.0, 1.0, 1.0]) == twice

    soft = SoftLabel({"ham": 0.75, "spam": 0.25})
    assert balance([soft] * 4) == balance(["ham", "ham", "ham", "spam"])
    none = balance([SoftLabel({"ham": 1.0, "spam": 0.0})] * 2)
    assert none == {"ham": 1.0, "spam": 1.0}


def test_rows_cost_what_their_labels_do():
    objective = SingleLabelObjective(MAIL, {"class_weight": {"ham": 1.0, "spam": 5.0}})
    targets = np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32)

    costs = weigh_rows(objective, targets)

    assert costs.tolist() == [1.0, 5.0, 3.0]
    assert weigh_rows(SingleLabelObjective(MAIL), targets) is None
    rows = Encoded([[2], [3], [4]], targets, costs=costs)
    np.testing.assert_allclose(rows.fitted_weights, [1 / 3, 5 / 3, 1], rtol=1e-6)
    assert rows.weights.tolist() == [1, 1, 1]  # by which probabilities are calibrated
    assert rows.select(np.array([1])).costs.tolist() == [5.0]
