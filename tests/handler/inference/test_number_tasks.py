"""Numbers and ordinal labels: what their outputs mean to everybody who asks."""

import numpy as np
import pytest

from handler.errors import ArtefactError
from handler.inference.classifier import load_classifier
from handler.inference.tasks import Options, Ordinal, Tensor, read_task
from tests.helpers.hostile import change
from tests.helpers.number_bundles import REGRESSION, write_ordinal, write_regression

STARS = Ordinal(["1", "2", "4.5"])
STARS_ROW = [0.3, 0.25, 0.45]


def make_number(**changes):
    return read_task(REGRESSION | changes)


def test_a_description_gives_the_task_again():
    assert read_task(REGRESSION).describe() == REGRESSION
    assert read_task(STARS.describe()).describe() == {
        "kind": "ordinal",
        "labels": ["1", "2", "4.5"],
    }


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (3.7000000476837158, {"value": 3.7, "interval": [1.2, 5.0]}),
        (-0.5, {"value": -0.5, "interval": [-1.5, 0.5]}),
        (0.0, {"value": 0.0, "interval": [-2.5, 2.5]}),  # the edge is in the upper part
        (6.0, {"value": 6.0, "interval": [3.5, 6.0]}),  # int8 may go a little beyond
    ],
)
def test_a_number_has_the_interval_of_its_part_within_what_was_seen(output, answer):
    assert make_number().answer([output]) == answer
    assert make_number().answer([output], Options(top_k=3, threshold=0.9)) == answer


def test_what_is_not_clipped_may_be_beyond_what_was_seen():
    task = make_number(clips=False)

    assert task.answer([6.0]) == {"value": 6.0, "interval": [3.5, 8.5]}
    assert task.describe_answer()["value"] == {"type": "number"}


def test_too_few_rows_leave_the_number_alone():
    task = make_number(interval=None)

    assert task.answer([3.7]) == {"value": 3.7}
    assert dict(task.columns) == {"predicted_value": float}
    assert task.tensors == (Tensor("value", "FP32"),)
    assert list(task.describe_answer()) == ["value"]


@pytest.mark.parametrize(
    ("scale", "shown"), [(2.0, 1234.56789), (2e-7, 1234.567890123), (3e6, 1230.0)]
)
def test_a_number_is_told_as_exactly_as_its_scale_is_worth(scale, shown):
    task = make_number(lowest=-1e9, highest=1e9, standard_deviation=scale, interval=None)

    assert task.cells([1234.567890123]) == (pytest.approx(shown, rel=1e-9),)
    assert repr(make_number().cells([np.float32(0.1).item()])[0]) == "0.1"


def test_formats_get_their_values():
    task = make_number()

    assert dict(task.columns) == dict.fromkeys(
        ("predicted_value", "predicted_low", "predicted_high"), float
    )
    assert task.cells([3.7]) == (3.7, 1.2, 5.0)
    assert task.rank([3.7]) == [("LABEL_0", 3.7)]  # transformers' name of an only output
    assert task.raw_score(3.7) == 3.7
    values = {tensor.name: list(task.tensor_values(tensor.name, [3.7])) for tensor in task.tensors}
    assert values == {"value": [3.7], "interval": [1.2, 5.0]}
    assert task.predicted_labels([3.7]) == ()
    assert list(task.describe_answer()) == list(task.answer([3.7]))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_a_number_that_is_not_finite_is_no_answer(number):
    assert make_number().find_flaw([number]) == "holds a number that is not finite"
    assert make_number().find_flaw([1e30]) == ""


def test_numbers_are_the_same_within_a_tenth_of_a_standard_deviation():
    left, right = np.array([[1.0], [1.0]], np.float32), np.array([[1.19], [1.21]], np.float32)

    assert make_number().same_answers(left, right).tolist() == [True, False]
    np.testing.assert_allclose(make_number().margins(left), [0.2, 0.2], rtol=1e-6)


BAD = {
    "lowest above the mean": ({"lowest": 1.0}, "task.mean is 0.5, wanted one between"),
    "no spread": ({"standard_deviation": 0.0}, "task.standard_deviation is 0, wanted one above 0"),
    "too wide": ({"standard_deviation": 8.5}, "at most task.highest - task.lowest"),
    "below 0": ({"standard_deviation": -1.0}, "wanted one above 0"),
    "a text": ({"mean": "0"}, "task.mean is '0', wanted a finite number"),
    "NaN": ({"mean": float("nan")}, "wanted a finite number"),
    "true": ({"highest": True}, "task.highest is true, wanted a finite number"),
    "enormous": ({"highest": 10**400}, "wanted a finite number"),
    "a flag of 1": ({"clips": 1}, "task.clips is 1, wanted true or false"),
    "more": ({"extra": 1}, "task has the field 'extra'"),
}
BAD_INTERVALS = {
    "an array": ([0.9], "task.interval is an array of 1"),
    "no radii": ({"coverage": 0.9, "edges": []}, "task.interval.radii is missing"),
    "no radius": ({"coverage": 0.9, "edges": [], "radii": []}, "has 0 numbers, wanted 1"),
    "one too few": ({"coverage": 0.9, "edges": [1], "radii": [1]}, "has 1 numbers, wanted 2"),
    "below 0": ({"coverage": 0.9, "edges": [], "radii": [-1]}, "has -1, wanted 0 or more"),
    "all": ({"coverage": 1, "edges": [], "radii": [1]}, "coverage is 1, wanted one above 0"),
    "alike": ({"coverage": 0.9, "edges": [1, 1], "radii": [1, 1, 1]}, "edges do not ascend"),
    "null inside": ({"coverage": 0.9, "edges": [None], "radii": [1, 1]}, r"edges\[0\] is null"),
    "many": ({"coverage": 0.9, "edges": [], "radii": [1] * 1001}, "is an array of 1001"),
}


@pytest.mark.parametrize("name", BAD)
def test_fields_that_do_not_fit_are_refused(name):
    changes, message = BAD[name]

    with pytest.raises(ArtefactError, match=message):
        read_task(REGRESSION | changes)


@pytest.mark.parametrize("name", BAD_INTERVALS)
def test_intervals_that_do_not_fit_are_refused(name):
    interval, message = BAD_INTERVALS[name]

    with pytest.raises(ArtefactError, match=message):
        read_task(REGRESSION | {"interval": interval})


@pytest.mark.parametrize("field", [name for name in REGRESSION if name != "kind"])
def test_a_missing_field_is_named(field):
    with pytest.raises(ArtefactError, match=f"task.{field} is missing"):
        read_task({name: value for name, value in REGRESSION.items() if name != field})


def test_an_ordinal_answer_is_the_median_label():
    answer = STARS.answer(STARS_ROW)

    assert (answer["label"], answer["score"]) == ("2", 0.25)  # 0.3 below it, 0.45 above
    assert answer["scores"] == {"1": 0.3, "2": 0.25, "4.5": 0.45}
    assert answer["value"] == pytest.approx(0.3 * 1 + 0.25 * 2 + 0.45 * 4.5)
    assert list(STARS.describe_answer()) == list(answer)
    assert STARS.cells(STARS_ROW) == ("2", 0.25, answer["value"])
    assert list(STARS.columns) == ["predicted_label", "predicted_score", "predicted_value"]
    assert STARS.rank(STARS_ROW)[0] == ("4.5", 0.45)
    assert [tensor.name for tensor in STARS.tensors] == ["label", "score", "probabilities", "value"]
    assert list(STARS.tensor_values("value", STARS_ROW)) == [answer["value"]]
    assert list(STARS.tensor_values("label", STARS_ROW)) == ["2"]
    assert STARS.answer(STARS_ROW, Options(top_k=1))["scores"] == {"4.5": 0.45}


@pytest.mark.parametrize("row", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.2, 0.2, 0.6]])
def test_the_median_is_the_same_for_one_row_and_for_many(row):
    assert STARS.choose_all(np.array([row], np.float32)).tolist() == [STARS.explained_output(row)]


def test_ordinal_answers_that_may_change_are_those_near_one_half():
    rows = np.array([[0.3, 0.25, 0.45], [0.9, 0.05, 0.05]])

    np.testing.assert_allclose(STARS.margins(rows), [0.025, 0.2])
    assert STARS.same_answers(rows, rows[::-1]).tolist() == [False, False]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["1", "two"], "task.labels.1. is 'two', wanted a number as a text"),
        (["2", "1"], "task.labels.1. is '1', wanted a larger number"),
        (["1", "1.0"], "wanted a larger number"),
        (["1", "nan"], "wanted a number as a text"),
        (["1", "inf"], "wanted a number as a text"),
        (["1", "1_0"], "wanted a number as a text"),
        ([str(number) for number in range(101)], "task.labels are 101, wanted 100 at most"),
        (["1"], "wanted an array of 2"),
    ],
)
def test_labels_without_an_order_are_refused(labels, message):
    with pytest.raises(ArtefactError, match=message):
        read_task({"kind": "ordinal", "labels": labels})


def test_bundles_of_numbers_are_loaded_and_answer(tmp_path):
    number = load_classifier(write_regression(tmp_path))
    stars = load_classifier(write_ordinal(tmp_path))

    assert number.predict(["good good film"])[0].outputs == [4.0]
    assert stars.task.answer(stars.predict(["bad"])[0].outputs)["label"] == "2"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("golden", "outputs"), [2.0, 0.0], "golden.outputs has 2 numbers, wanted 1"),
        (("golden", "outputs"), [1e39], "wanted a finite number"),
        (("golden", "outputs"), [1.9], "off by 0.1000"),
        (("golden", "atol"), 1.0, "golden.atol is 1"),
        (("task", "mean"), 10.0, "manifest.json: .*task.mean is 10"),
        (("task", "labels"), ["a", "b"], "manifest.json: .*task has the field 'labels'"),
        (("task", "kind"), "ordinal", "manifest.json: .*task"),
    ],
)
def test_a_hostile_bundle_of_numbers_is_refused(tmp_path, place, value, message):
    bundle = write_regression(tmp_path)
    change(place, value)(bundle)

    with pytest.raises(ArtefactError, match=message):
        load_classifier(bundle)
