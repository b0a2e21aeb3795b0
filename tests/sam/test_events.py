"""One event of every source that needs no AWS, as AWS sends it, against the built function."""

import json

import pytest

from tests.helpers.emulator import ROOT, run_emulator

pytestmark = [pytest.mark.sam, pytest.mark.slow]

EVENTS = ROOT / "tests" / "events"


@pytest.fixture(scope="module")
def emulator(built_function, tmp_path_factory):
    with run_emulator(built_function, tmp_path_factory.mktemp("rie") / "log") as running:
        yield running


@pytest.mark.parametrize(
    "name",
    [
        "direct_text",
        "direct_texts",
        "stepfunctions_list",
        "stepfunctions_distributed_map",
        "sns_text",
        "eventbridge_text",
    ],
)
def test_built_function_answers_the_event(emulator, name):
    event = json.loads((EVENTS / f"{name}.json").read_text())

    reply = emulator.invoke(event)

    assert "errorMessage" not in reply
    assert '"predictions"' in json.dumps(reply) or '"label"' in json.dumps(reply)


def test_queue_without_a_place_for_results_is_refused_with_the_variable(emulator):
    event = json.loads((EVENTS / "sqs_two_messages.json").read_text())

    reply = emulator.invoke(event)

    assert "MINNOW_RESULTS is not set" in reply["errorMessage"]
