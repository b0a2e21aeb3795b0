"""`dynamodb://TABLE?key=result_id`: one item a result, put only where none stands yet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from handler.attributes import to_attribute
from handler.aws import is_resource, make_client
from handler.deadline import Deadline
from handler.event_settings import Target
from handler.sinks.sending import send_each
from handler.sinks.sink import Result
from handler.traces import NAME


class DynamoDBSink:
    """Puts items under the partition key named by `key`, by default `result_id`."""

    overwrites = True

    def __init__(self, target: Target) -> None:
        self.table = target.name
        self.key = target.options.get("key", "result_id")

    @cached_property
    def client(self) -> Any:
        return make_client("dynamodb")

    def send(self, results: Sequence[Result], deadline: Deadline) -> dict[str, str]:
        # Here, because boto3 makes clients in one thread at a time.
        return send_each(results, partial(self._put, self.client), deadline)

    def feeds(self, source_arn: str) -> bool:
        # A stream's ARN goes on with /stream/..., EventBridge Pipes names the table alone.
        return is_resource(source_arn, "dynamodb", f"table/{self.table}")

    def _put(self, client: Any, result: Result) -> None:
        item = {name: to_attribute(value) for name, value in result.document.items()}
        if result.traceparent:
            item[NAME] = {"S": result.traceparent}
        item[self.key] = {"S": result.result_id}
        try:
            client.put_item(
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": self.key},
            )
        except client.exceptions.ConditionalCheckFailedException:
            pass  # an earlier delivery of the same record has put it
