"""Answers that may be withheld, the scope and label sets, on texts that can be computed by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from handler.errors import InvalidInput
from handler.inference.classifier import load_classifier
from handler.inference.models import Model
from handler.inference.tasks import Options, Selective, SingleLabel, read_task
from handler.inference.tasks.label_sets import LabelSets
from handler.inference.tasks.scope import Scope
from tests.helpers.selective_bundle import ABSTAIN, LABEL_SETS, SCOPE, write_selective_bundle

CERTAIN = "good good"  # 0.98
UNCERTAIN = "good film"  # 0.88
ELSEWHERE = "unknown words of no other text"


@pytest.fixture
def model(selective_bundle: Path) -> Model:
    return Model(load_classifier(selective_bundle))


def answer(model: Model, text: str, **options: Any) -> dict[str, Any]:
    asked = Options(**options)
    (shaped,) = model.answer([text], model.predict([text], options=asked), asked)["predictions"]
    del shaped["truncated"], shaped["known_tokens"], shaped["scores"]
    return {**shaped, "score": round(shaped["score"], 2)}


def test_a_certain_text_is_answered(model: Model) -> None:
    assert answer(model, CERTAIN) == {
        "label": "pos",
        "best": "pos",
        "score": 0.98,
        "abstained": False,
        "out_of_scope": False,
    }


def test_an_uncertain_text_is_not_answered_and_keeps_its_score(model: Model) -> None:
    assert answer(model, UNCERTAIN) == {
        "label": None,
        "best": "pos",
        "score": 0.88,
        "abstained": True,
        "out_of_scope": False,
    }


@pytest.mark.parametrize("text", [ELSEWHERE, ""])
def test_a_text_from_elsewhere_is_out_of_scope_and_so_is_an_empty_one(
    text: str, model: Model
) -> None:
    found = answer(model, text)

    assert (found["label"], found["abstained"], found["out_of_scope"]) == (None, True, True)


def test_the_options_of_scores_change_no_decision(model: Model) -> None:
    found = answer(model, UNCERTAIN, top_k=1, threshold=0.95)

    assert (found["label"], found["best"]) == (None, "pos")


def test_a_scored_file_tells_why_a_text_is_not_answered(model: Model) -> None:
    predictions = model.predict([CERTAIN, UNCERTAIN, ELSEWHERE])

    cells = [model.task.cells(one.outputs) for one in predictions]

    assert list(model.task.columns) == [
        "predicted_label",
        "predicted_score",
        "abstained",
        "best_label",
    ]
    assert [(cell[0], *cell[2:]) for cell in cells] == [
        ("pos", "", "pos"),
        ("", "uncertain", "pos"),
        ("", "out_of_scope", "pos"),
    ]


def test_distances_are_those_of_the_formula() -> None:
    scope = Scope(0.9, "012f", (1.0, 0.5), (2.0, -0.5, 3.0), 4.0)

    distance = scope.measure([1, 2, 3])

    nats, size = (1 + 2 + 15) / 3 - 1.0, math.log(3) - 0.5
    assert distance == pytest.approx(2 * nats**2 - 2 * 0.5 * nats * size + 3 * size**2)
    assert scope.measure([]) == math.inf


@pytest.mark.parametrize(
    ("coverage", "labels"), [(0.5, []), (0.6, ["pos"]), (0.9, ["pos"]), (0.92, ["pos", "neg"])]
)
def test_a_set_is_that_of_the_next_higher_coverage(
    coverage: float, labels: list[str], model: Model
) -> None:
    assert answer(model, UNCERTAIN, coverage=coverage)["set"] == labels


@pytest.mark.parametrize("coverage", [0.4999, 0.951])
def test_a_coverage_beyond_the_table_is_refused(coverage: float, model: Model) -> None:
    with pytest.raises(InvalidInput, match="has label sets from 0.5 to 0.95") as caught:
        model.predict([CERTAIN], options=Options(coverage=coverage))

    assert caught.value.field == "coverage"


def test_a_model_without_label_sets_says_how_to_get_them(tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no label sets; export it again: .* --label-sets"):
        Model(load_classifier(tiny_bundle)).predict([CERTAIN], options=Options(coverage=0.9))


@pytest.mark.parametrize("fields", [{"abstain": ABSTAIN}, {"label_sets": LABEL_SETS}])
def test_each_field_may_stand_alone(
    fields: dict[str, Any], tiny_bundle: Path, tmp_path: Path
) -> None:
    model = Model(load_classifier(write_selective_bundle(tiny_bundle, tmp_path / "b", **fields)))

    found = answer(model, UNCERTAIN)

    assert "out_of_scope" not in found
    assert ("abstained" in found) == ("abstain" in fields)


def test_a_task_is_read_as_it_was_described() -> None:
    described = {
        "kind": "single-label",
        "labels": ["a", "b"],
        "abstain": ABSTAIN,
        "scope": SCOPE,
        "label_sets": LABEL_SETS,
    }

    task = read_task(described)

    assert isinstance(task, Selective)
    assert json.loads(json.dumps(task.describe())) == described


def test_a_task_without_these_fields_is_the_plain_one() -> None:
    assert type(read_task({"kind": "single-label", "labels": ["a", "b"]})) is SingleLabel


def test_clients_are_not_told_the_information_of_each_word(model: Model) -> None:
    assert "information" not in model.describe_task()["scope"]


def test_label_sets_tell_their_ends() -> None:
    assert LabelSets(LABEL_SETS).ends == (0.5, 0.95)
