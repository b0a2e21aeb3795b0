"""Four processes of one execution environment at once, as on Lambda Managed Instances."""

import boto3
import pytest

from handler.inference.models import LIVE
from handler.repository.places import open_store
from tests.helpers.aws import ENVIRONMENT, receive_all
from tests.helpers.deployment import make_table, wrap_in_sqs
from tests.helpers.repositories import Shop
from tests.helpers.runtime_api import run_processes

pytestmark = [pytest.mark.sam, pytest.mark.slow]

PROCESSES = 4
PLACE = "s3://models/models/"
TEXT = {"text": "good film"}


@pytest.fixture
def shop(aws, tiny_bundle, tmp_path):
    """A repository in a bucket; its model "films" says "old"."""
    where = {"LocationConstraint": ENVIRONMENT["AWS_DEFAULT_REGION"]}
    aws("s3").create_bucket(Bucket="models", CreateBucketConfiguration=where)
    shop = Shop(open_store(PLACE), tiny_bundle, tmp_path / "work")
    shop.push("films", "old", LIVE)
    return shop


@pytest.fixture
def results(aws):
    """URL of the queue that results go to, each once."""
    make_table("records", "id")
    return aws("sqs").create_queue(QueueName="results")["QueueUrl"]


@pytest.fixture
def shared(tmp_path):
    """The folder that stands for /tmp."""
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def environment(built_function, shop, results, shared, moto_url, tmp_path):
    variables = {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": moto_url,
        "MINNOW_MODELS": PLACE,
        "MINNOW_MODELS_REFRESH_S": "1",
        "MINNOW_RESULTS": results.replace("http", "sqs", 1),
        "MINNOW_IDEMPOTENCY_TABLE": "records",
    }
    log = tmp_path / "log"
    with run_processes(built_function, log, shared, PROCESSES, variables) as running:
        yield running
    assert "Traceback" not in log.read_text()


def say(reply):
    (prediction,) = reply["predictions"]
    return prediction["label"]


def test_processes_that_start_at_once_answer_and_follow_a_promotion(
    environment, shop, shared, built_function
):
    files = {path: path.stat().st_mtime_ns for path in built_function.rglob("*")}

    first = environment.invoke_at_once([TEXT] * PROCESSES)
    shop.push("films", "new", LIVE)
    meanwhile = []
    while len(meanwhile) < 1000 and set(meanwhile[-PROCESSES:]) != {"new"}:
        meanwhile += [say(reply) for reply in environment.invoke_at_once([TEXT] * PROCESSES)]
    last = environment.invoke_at_once([TEXT] * PROCESSES)

    assert [say(reply) for reply in first] == ["old"] * PROCESSES
    assert set(meanwhile) <= {"old", "new"}
    assert [say(reply) for reply in last] == ["new"] * PROCESSES
    # What one process may not spoil for another: nothing of theirs is in a file.
    assert list(shared.rglob("*")) == []
    assert {path: path.stat().st_mtime_ns for path in built_function.rglob("*")} == files


def test_a_message_that_all_processes_get_at_once_has_one_result(environment, results):
    message = wrap_in_sqs("good film")

    replies = environment.invoke_at_once([message] * PROCESSES)
    again = environment.invoke_at_once([message] * PROCESSES)

    # Whoever finds another at work on the message leaves it for a second delivery.
    failed = [len(reply["batchItemFailures"]) for reply in replies]
    assert min(failed) == 0
    assert [reply["batchItemFailures"] for reply in again] == [[]] * PROCESSES
    (result,) = receive_all(boto3.client("sqs"), results)
    assert result["predictions"][0]["label"] == "old"
