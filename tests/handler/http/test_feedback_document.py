"""The OpenAPI document is true of `POST /feedback`, whatever the task."""

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings

from handler.http.app import create_app
from handler.http.service import Service
from handler.inference.classifier import load_classifier
from handler.inference.models import Model, Models
from handler.settings import read_settings
from tests.helpers.multi_label import copy_bundle
from tests.helpers.number_bundles import write_ordinal, write_regression
from tests.helpers.openapi import read_schema
from tests.helpers.paths import TESTS

pytestmark = pytest.mark.slow
NUM_EXAMPLES = int(os.environ.get("MINNOW_FUZZ_EXAMPLES", "5"))
SETTINGS = read_settings({"MINNOW_FEEDBACK": "sqs://feedback", "MINNOW_MAX_TEXTS": "4"})
FOLDER = Path(mkdtemp())  # requests are generated from the document before any fixture
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
TINY = TESTS / "tiny_bundle"
SLOW = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=NUM_EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)


def read_feedback(bundle):
    """Return the schema of the operation over one model."""
    models = Models([Model(load_classifier(bundle), SETTINGS.limits)])
    return read_schema(create_app(Service(models, SETTINGS))).include(path="/feedback")


@pytest.fixture(autouse=True)
def queue(aws):
    aws("sqs").create_queue(QueueName="feedback")


SINGLE_LABEL = read_feedback(TINY)
MULTI_LABEL = read_feedback(copy_bundle(TINY, FOLDER / "several"))
REGRESSION = read_feedback(write_regression(FOLDER))
ORDINAL = read_feedback(write_ordinal(FOLDER))


@SINGLE_LABEL.parametrize()
@SLOW
def test_feedback_of_a_single_label_gets_documented_answers(case):
    case.call_and_validate()


@MULTI_LABEL.parametrize()
@SLOW
def test_feedback_of_several_labels_gets_documented_answers(case):
    case.call_and_validate()


@REGRESSION.parametrize()
@SLOW
def test_feedback_of_numbers_gets_documented_answers(case):
    case.call_and_validate()


@ORDINAL.parametrize()
@SLOW
def test_feedback_of_ordered_labels_gets_documented_answers(case):
    case.call_and_validate()
