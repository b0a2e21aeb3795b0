"""The function as its role lets it: what IAM refuses is answered as AWS answers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from handler.errors import DeliveryError
from tests.helpers.aws_calls import Authorize, Call
from tests.helpers.deliveries import CLEAN, WITH_REJECTED, Bucket, make_parquet, run_everything
from tests.helpers.deployment import deploy
from tests.helpers.policies import is_allowed, read_resource_denials, read_roles
from tests.helpers.template import ACCOUNT, NAMED, REGION, Stack, read_template

pytestmark = pytest.mark.slow

TEMPLATE = read_template()
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0123"


def enforce(stack: Stack) -> Authorize:
    """Return what IAM says of the function's calls."""
    statements = [*read_roles(stack)["FunctionRole"], *read_resource_denials(stack)]
    return lambda call: all(is_allowed(statements, *need) for need in call.needs(stack.keys))


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"Queue": "off"},
        {"Bucket": "off"},
        {"KmsKeyArn": KEY},
        {"ResultsTo": "queue", "KmsKeyArn": KEY},
        {"ResultsTo": "bus"},
        {"ResultsTo": "table", "KmsKeyArn": KEY},
        {"ResultsTo": "queue", "IdempotencyTableName": "records"},
        {"ResultsTo": "bus", "IdempotencyTableName": "records", "KmsKeyArn": KEY},
        {"ReviewTo": "bucket"},
        {"ModelsBucket": "models"},
        {"ModelsBucket": "models", "ModelsPrefix": "", "KmsKeyArn": KEY},
        {"ReviewTo": "queue", "ResultsTo": "bus", "IdempotencyTableName": "records"},
        {"ReviewTo": "bus", "ResultsTo": "queue", "IdempotencyTableName": "records"},
        {"ReviewTo": "table", "KmsKeyArn": KEY},
        {"FeedbackTo": "bucket", "KmsKeyArn": KEY},
        {"FeedbackTo": "queue", "KmsKeyArn": KEY},
        {"FeedbackTo": "bus"},
        {"FeedbackTo": "table", "KmsKeyArn": KEY},
    ],
)
def test_everything_ends_as_it_should_under_the_roles_of_the_template(
    switches: dict[str, str], moto_url: str, selective_bundle: Path
) -> None:
    stack = Stack(TEMPLATE, {**NAMED, "IdempotencyTableName": "", **switches})

    with deploy(stack, moto_url, selective_bundle, enforce(stack)) as function:
        run_everything(function)  # which looks at every reply, and at what lies in the buckets


@pytest.fixture
def change_an_object(moto_url: str, tiny_bundle: Path) -> Callable[[Authorize], Bucket]:
    """Return a function that scores an object with rejected rows, then a version without."""

    def score_twice(authorize: Authorize) -> Bucket:
        with deploy(Stack(TEMPLATE, {}), moto_url, tiny_bundle, authorize) as function:
            bucket = Bucket(function)
            function.invoke(bucket.put("a.csv", WITH_REJECTED))
            assert bucket.list_results() == ["a.csv", "a.csv.rejected"]
            function.invoke(bucket.put("a.csv", CLEAN))
        return bucket

    return score_twice


def test_rejected_rows_of_an_earlier_version_are_emptied_where_they_cannot_be_deleted(
    change_an_object: Callable[[Authorize], Bucket],
) -> None:
    bucket = change_an_object(lambda call: call.operation != "DeleteObject")

    assert bucket.list_results() == ["a.csv", "a.csv.rejected"]
    assert bucket.get_result("a.csv.rejected") == b""
    assert bucket.get_result("a.csv").count(b"\n") == 2


def test_rejected_rows_of_an_earlier_version_are_deleted_also_where_they_cannot_be_looked_for(
    change_an_object: Callable[[Authorize], Bucket],
) -> None:
    bucket = change_an_object(lambda call: call.operation != "HeadObject" or "texts" in str(call))

    assert bucket.list_results() == ["a.csv"]


def test_a_deletion_that_fails_for_now_is_tried_again_and_the_earlier_result_stays(
    moto_url: str, tiny_bundle: Path
) -> None:
    def authorize(call: Call) -> bool:
        if call.operation == "DeleteObject":
            raise ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, call.operation)
        return True

    with deploy(Stack(TEMPLATE, {}), moto_url, tiny_bundle, authorize) as function:
        bucket = Bucket(function)
        function.invoke(bucket.put("a.csv", WITH_REJECTED))
        earlier = bucket.get_result("a.csv")
        event = bucket.put("a.csv", b"text\nbad\n")

        with pytest.raises(DeliveryError, match="delete_object failed: SlowDown"):
            function.invoke(event)

        assert bucket.get_result("a.csv") == earlier
        assert bucket.list_results() == ["a.csv", "a.csv.rejected"]


def test_an_object_without_rejected_rows_deletes_nothing(moto_url: str, tiny_bundle: Path) -> None:
    with deploy(Stack(TEMPLATE, {}), moto_url, tiny_bundle) as function:
        bucket = Bucket(function)

        function.invoke(bucket.put("a.csv", CLEAN))

        # A bucket with versions would keep a marker of it, of nothing.
        assert not [call for call in function.calls if call.operation.startswith("Delete")]
        assert bucket.list_results() == ["a.csv"]


def test_tails_that_cannot_be_deleted_are_a_warning_and_the_result_stands(
    moto_url: str, tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stack = Stack(TEMPLATE, {})

    with deploy(
        stack, moto_url, tiny_bundle, lambda call: call.operation != "DeleteObjects"
    ) as function:
        bucket = Bucket(function)
        function.invoke(bucket.put("a.parquet", make_parquet()))

    assert "a.parquet" in bucket.list_results()
    assert "not all tails were removed: {'AccessDenied'}" in caplog.text
