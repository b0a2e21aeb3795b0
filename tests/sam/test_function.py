"""The artefact of `sam build`, under the Lambda Runtime Interface Emulator."""

import json

import pytest

from tests.helpers.emulator import run_emulator
from tests.helpers.http_events import make_event
from tests.helpers.paths import ROOT
from tests.helpers.tools import hide_processors

pytestmark = [pytest.mark.sam, pytest.mark.slow]


@pytest.fixture(scope="module")
def emulator(built_function, tmp_path_factory):
    with run_emulator(built_function, tmp_path_factory.mktemp("rie") / "log") as running:
        yield running


def test_built_function_answers_predict(emulator):
    reply = emulator.invoke(make_event("http_v2", "POST", "/predict", {"text": "good film"}))

    (prediction,) = json.loads(reply["body"])["predictions"]
    assert (reply["statusCode"], prediction["label"]) == (200, "pos")
    assert prediction["score"] == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_built_function_answers_what_fastapi_serves(emulator, path):
    assert emulator.invoke(make_event("http_v2", "GET", path))["statusCode"] == 200


def test_built_function_answers_a_direct_call(emulator):
    reply = emulator.invoke({"texts": ["bad film", ""]})

    assert [p["known_tokens"] for p in reply["predictions"]] == [2, 0]


def test_unknown_event_names_the_known_ones(emulator):
    reply = emulator.invoke({"surprise": 1})

    assert "unknown event; this function answers: " in reply["errorMessage"]


def test_the_model_that_ships_answers_where_linux_says_nothing_of_the_processors(
    built_function, tmp_path
):
    """As Lambda once did on arm64, where ONNX Runtime's library for that aborted."""
    variables = {"MINNOW_BUNDLE": str(ROOT / "handler" / "model")}

    with run_emulator(
        built_function, tmp_path / "log", variables, within=hide_processors()
    ) as emulator:
        reply = emulator.invoke({"texts": ["a wonderful film", "awful , and dull"]})

    assert [prediction["label"] for prediction in reply["predictions"]] == ["pos", "neg"]
