"""Every call of boto3 in this process, and what AWS asks of whoever makes it.

The actions are those of AWS's Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.helpers.template import ACCOUNT, REGION

# Operation -> its action on the bucket, or on the object where a key is among the parameters.
S3_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
# Where the object has a version: an action of its own.
VERSION_ACTIONS = {"GetObject": "s3:GetObjectVersion", "HeadObject": "s3:GetObjectVersion"}
SQS_ACTIONS = {  # a batch has no action of its own
    "GetQueueUrl": "sqs:GetQueueUrl",
    "SendMessage": "sqs:SendMessage",
    "SendMessageBatch": "sqs:SendMessage",
}
DYNAMODB_OPERATIONS = ("DeleteItem", "GetItem", "PutItem", "UpdateItem")
# What a customer's key is asked for; a bus asks in its own name. S3 reads the parts of an upload
# back to complete it, and SQS asks a producer for both: its data key is one that it may have to
# decrypt.
KEY_ACTIONS = {
    "CompleteMultipartUpload": ("kms:Decrypt",),
    "CreateMultipartUpload": ("kms:GenerateDataKey",),
    **dict.fromkeys(DYNAMODB_OPERATIONS, ("kms:Decrypt",)),
    "GetObject": ("kms:Decrypt",),
    "HeadObject": ("kms:Decrypt",),
    "PutObject": ("kms:GenerateDataKey",),
    "SendMessage": ("kms:Decrypt", "kms:GenerateDataKey"),
    "SendMessageBatch": ("kms:Decrypt", "kms:GenerateDataKey"),
    "UploadPart": ("kms:Decrypt", "kms:GenerateDataKey"),
}
NOT_FOUND = ("404", "NoSuchKey")


@dataclass(frozen=True)
class Call:
    """One call; `error` is the code of AWS's reply, empty where it succeeded."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    error: str = ""

    def needs(self, keys: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what AWS asks for it: actions, each with the ARN of its resource.

        Args:
            keys: ARN of a bucket, queue or table -> ARN of the customer's key that encrypts it.
        """
        needs = self._list_needs()
        # Where the key is asked for, the first resource is in the bucket, or is queue or table.
        resource = needs[0][1]
        if key := keys.get(resource) or keys.get(resource.split("/")[0]):
            needs += [(action, key) for action in KEY_ACTIONS.get(self.operation, ())]
        return needs

    def _list_needs(self) -> list[tuple[str, str]]:
        parameters = self.parameters
        if self.service == "s3":
            return self._list_s3_needs()
        if self.service == "sqs":
            name = parameters.get("QueueName") or parameters["QueueUrl"].rsplit("/", 1)[-1]
            return [(SQS_ACTIONS[self.operation], f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")]
        if self.service == "dynamodb" and self.operation in DYNAMODB_OPERATIONS:
            table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{parameters['TableName']}"
            return [(f"dynamodb:{self.operation}", table)]
        if (self.service, self.operation) == ("events", "PutEvents"):
            buses = sorted({entry["EventBusName"] for entry in parameters["Entries"]})
            bus_arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/"
            return [("events:PutEvents", bus_arn + bus) for bus in buses]
        if (self.service, self.operation) == ("lambda", "Invoke"):
            return [("lambda:InvokeFunction", parameters["FunctionName"])]
        raise NotImplementedError(
            f"{self.service} {self.operation}: teach it to tests/helpers/aws_calls.py"
        )

    def _list_s3_needs(self) -> list[tuple[str, str]]:
        bucket = f"arn:aws:s3:::{self.parameters['Bucket']}"
        action = S3_ACTIONS[self.operation]
        if "VersionId" in self.parameters:
            action = VERSION_ACTIONS[self.operation]
        if "Delete" in self.parameters:
            names = [entry["Key"] for entry in self.parameters["Delete"]["Objects"]]
        else:
            names = [self.parameters["Key"]] if "Key" in self.parameters else []
        resources = [f"{bucket}/{name}" for name in names] or [bucket]
        needs = [(action, resource) for resource in resources]
        if self.error in NOT_FOUND:  # without it S3 says 403 of what does not exist
            needs.append(("s3:ListBucket", bucket))
        return needs


Authorize = Callable[[Call], bool]


@contextmanager
def record_calls(authorize: Authorize = lambda call: True) -> Iterator[list[Call]]:
    """Yield the list of calls made by any client from here on, as they come.

    Args:
        authorize: Says whether IAM lets a call through; one that it does not is answered as AWS
            would, and never made.
    """
    calls: list[Call] = []
    original = BaseClient._make_api_call

    def make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        service = client.meta.service_model.service_name
        call = Call(service, operation, parameters)
        if not authorize(call):
            return _refuse(call)
        try:
            reply = original(client, operation, parameters)
        except ClientError as error:
            call = Call(service, operation, parameters, error.response["Error"]["Code"])
            calls.append(call)
            if not authorize(call):
                return _refuse(call)
            raise
        calls.append(call)
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", make_api_call)
        yield calls


def _refuse(call: Call) -> dict[str, Any]:
    """Answer as AWS does without the right: an error, but for a list of deletions."""
    if call.operation == "DeleteObjects":
        keys = [entry["Key"] for entry in call.parameters["Delete"]["Objects"]]
        return {"Errors": [{"Key": key, "Code": "AccessDenied", "Message": ""} for key in keys]}
    code = "403" if call.operation.startswith("Head") else "AccessDenied"  # a HEAD has no body
    raise ClientError({"Error": {"Code": code, "Message": ""}}, call.operation)
