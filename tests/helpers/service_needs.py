"""What AWS's own services do in the name of the template's roles: no call of ours shows it.

Each need has its reason: which feature of the template asks for it, by AWS's developer guides of
Lambda, Step Functions, CodeDeploy, SQS and S3. It is gone where a combination of switches leaves
the feature out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.helpers.policies import Need
from tests.helpers.template import ACCOUNT, REGION, Stack

# What Lambda's pollers do, by the service in the ARN of an event source mapping.
MAPPING_ACTIONS = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "kinesis": (
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "kinesis:ListStreams",
    ),
    "dynamodb": (
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ),
}
KEY_OF_A_PRODUCER = ("kms:Decrypt", "kms:GenerateDataKey")
LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
SERVICES = {  # who takes on a role
    "FunctionRole": "lambda.amazonaws.com",
    "DeploymentRole": "codedeploy.amazonaws.com",
    "ScorePrefixRole": "states.amazonaws.com",
}


def list_service_needs(stack: Stack) -> list[Need]:
    """Return what the services need of every role of the stack."""
    return [*_function_needs(stack), *_deployment_needs(stack), *_state_machine_needs(stack)]


def _needs(role: str, actions: Sequence[str], resource: str, reason: str) -> Iterator[Need]:
    for action in actions:
        yield Need(role, action, resource, reason)


def _function_needs(stack: Stack) -> Iterator[Need]:
    role = "FunctionRole"
    (function,) = stack.find_properties("AWS::Serverless::Function").values()
    group = function["LoggingConfig"]["LogGroup"]
    stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:2026/01/01/[live]0123"
    actions = ("logs:CreateLogStream", "logs:PutLogEvents")
    yield from _needs(role, actions, stream, "Lambda writes the function's log")
    if function["Tracing"] == "Active":
        actions = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
        yield from _needs(role, actions, "*", "Lambda's X-Ray daemon sends with the role")
    failure = function["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"]
    reason = "Lambda sends what failed three times to its destination"
    yield from _needs(role, ["sqs:SendMessage"], failure, reason)
    if failure in stack.keys:
        yield from _needs(role, KEY_OF_A_PRODUCER, stack.keys[failure], reason)
    for mapping in stack.find_properties("AWS::Lambda::EventSourceMapping").values():
        source = mapping["EventSourceArn"]
        reason = "the pollers of an event source mapping"
        yield from _needs(role, MAPPING_ACTIONS[source.split(":")[2]], source, reason)
        if source in stack.keys:
            yield Need(role, "kms:Decrypt", stack.keys[source], reason)


def _deployment_needs(stack: Stack) -> Iterator[Need]:
    role = "DeploymentRole"
    (name,) = stack.find_properties("AWS::Serverless::Function")
    function, alias = stack.attribute(name, "Arn"), stack.attribute(name, "Alias")
    actions = ("lambda:GetAlias", "lambda:UpdateAlias")
    yield from _needs(role, actions, function, "CodeDeploy moves the alias")
    reason = "CodeDeploy waits for the alias's provisioned concurrency"
    yield Need(role, "lambda:GetProvisionedConcurrencyConfig", alias, reason)
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*"
    yield Need(role, "cloudwatch:DescribeAlarms", alarms, "CodeDeploy asks if an alarm rings")


def _state_machine_needs(stack: Stack) -> Iterator[Need]:
    role = "ScorePrefixRole"
    for name, machine in stack.find_properties("AWS::Serverless::StateMachine").items():
        arn = stack.attribute(name, "Ref")
        (state,) = machine["Definition"]["States"].values()
        if machine["Tracing"]["Enabled"]:
            actions = ("PutTraceSegments", "PutTelemetryRecords")
            actions += ("GetSamplingRules", "GetSamplingTargets")
            names = [f"xray:{action}" for action in actions]
            yield from _needs(role, names, "*", "Step Functions sends its traces")
        if machine["Logging"]["Destinations"]:
            reason = "Step Functions sets up the delivery of its log; they know no resource"
            yield from _needs(role, LOG_DELIVERY, "*", reason)
        assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
        reason = "each item of a Distributed Map is an execution of its own"
        yield Need(role, "states:StartExecution", arn, reason)
        executions = arn.replace(":stateMachine:", ":execution:") + ":0123-4567"
        actions = ("states:DescribeExecution", "states:StopExecution")
        yield from _needs(role, actions, executions, reason)
        yield from _result_writer_needs(role, state["ResultWriter"]["Arguments"], stack)


def _result_writer_needs(role: str, target: Mapping[str, Any], stack: Stack) -> Iterator[Need]:
    reason = "ResultWriter writes the manifest and the items' results, large ones in parts"
    bucket = f"arn:aws:s3:::{target['Bucket']}"
    actions = ("PutObject", "GetObject", "ListMultipartUploadParts", "AbortMultipartUpload")
    names = [f"s3:{action}" for action in actions]
    yield from _needs(role, names, f"{bucket}/{target['Prefix']}/0123/manifest.json", reason)
    if bucket in stack.keys:
        yield from _needs(role, KEY_OF_A_PRODUCER, stack.keys[bucket], reason)
