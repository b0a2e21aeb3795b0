"""Names of events that this function does not answer, told by their shape, for the refusal."""

from __future__ import annotations

from typing import Any

# The first whose fields are all there, also within `requestContext` where a dot says so.
SHAPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a WebSocket message of API Gateway", ("requestContext.connectionId",)),
    ("a WebSocket message of API Gateway", ("requestContext.eventType",)),
    ("a request of API Gateway to an authorizer", ("methodArn",)),
    ("a request of API Gateway to an authorizer", ("routeArn",)),
    ("a Lambda destination's record of an invocation", ("requestContext.functionArn",)),
    ("a Lambda destination's record of an invocation", ("requestPayload",)),
    ("a request of VPC Lattice", ("requestContext.serviceNetworkArn",)),
    ("a request of VPC Lattice", ("requestContext.targetGroupArn",)),
    ("a request of VPC Lattice", ("raw_path", "method")),
    ("a request of AppSync", ("arguments", "info")),
    ("a request of AppSync", ("requestContext.queryString",)),
    ("a subscription of CloudWatch Logs", ("awslogs",)),
    ("records of Kafka", ("eventSource", "records")),
    ("messages of Amazon MQ", ("eventSource", "rmqMessagesByQueue")),
    ("messages of Amazon MQ", ("eventSource", "messages")),
    ("records of Firehose", ("deliveryStreamArn", "records")),
    ("an alarm of CloudWatch", ("alarmArn",)),
    ("a trigger of Cognito", ("triggerSource", "userPoolId")),
    ("a custom resource of CloudFormation", ("RequestType", "ResponseURL")),
    ("a job of CodePipeline", ("CodePipeline.job",)),
    ("an event of Config", ("configRuleArn",)),
    ("a job of S3 Batch Operations", ("invocationSchemaVersion", "tasks")),
    ("a request of S3 Object Lambda", ("getObjectContext",)),
    ("a turn of Lex", ("bot",)),
    ("an action of Bedrock", ("messageVersion", "agent")),
)
SOURCES = {
    "aws:kafka": "records of Kafka",
    "SelfManagedKafka": "records of Kafka",
    "aws:rmq": "messages of Amazon MQ",
    "aws:mq": "messages of Amazon MQ",
    "aws:ses": "mail of SES",
    "aws:codecommit": "an event of CodeCommit",
    "aws:docdb": "changes of DocumentDB",
}


def name_event(event: object) -> str:
    """Return what an unknown event is, as far as its shape tells; never a word of its content."""
    if isinstance(event, dict):
        context = event.get("requestContext")
        inner = set(context) if isinstance(context, dict) else set[Any]()
        fields = {*event, *(f"requestContext.{name}" for name in inner)}
        for name, wanted in SHAPES:
            if fields.issuperset(wanted):
                return f"{name}, an unknown event"
    return "an unknown event"


def name_source(source: str) -> str:
    """Return what records of an unknown source are."""
    return SOURCES.get(source, "records") + " of an unknown source"
