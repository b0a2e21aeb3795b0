"""`template.yaml` as CloudFormation resolves it for one set of parameters: no SAM, no AWS.

It knows the intrinsic functions and the resource types that the template uses. Another one is an
error, so that it is added here and not passed over.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.paths import ROOT

TEMPLATE = ROOT / "template.yaml"
# What `make build INSTANCES=1` does to it, and docs/operations.md where there is no `make`.
INSTANCES = "sed -e '/# not on instances$/d' -e 's/# on instances: //' template.yaml"
REGION = "eu-west-1"
ACCOUNT = "123456789012"  # moto's
STACK = "minnow"
# What you name to the stack, and it does not make.
NAMED = {
    "ResultsName": "results",
    "ReviewName": "review",
    "FeedbackName": "feedback",
    "IdempotencyTableName": "records",
}
# Switches that nothing else of the template has to do with: each is tried with the others at their
# defaults, and with a key, which doubles nothing.
ALONE = {
    "ModelsBucket": ("models",),
    "Drift": ("off",),
    "QueueMinimumPollers": ("2",),
    "FeedbackTo": ("bucket", "queue", "bus", "table"),
}
NOTHING = object()  # AWS::NoValue: what refers to it is left out
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NOTHING,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
# The property that names a resource, where the template names it.
NAMES = {
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::StateMachine": "Name",
}
# `Ref` and `Fn::GetAtt` by type; what is not here is an id that AWS makes.
ATTRIBUTES = {
    ("AWS::IAM::Role", "Arn"): "arn:aws:iam::{account}:role/{name}",
    ("AWS::Events::Rule", "Arn"): "arn:aws:events:{region}:{account}:rule/{name}",
    ("AWS::Logs::LogGroup", "Ref"): "{name}",
    ("AWS::Logs::LogGroup", "Arn"): "arn:aws:logs:{region}:{account}:log-group:{name}:*",
    ("AWS::S3::Bucket", "Ref"): "{name}",
    ("AWS::S3::Bucket", "Arn"): "arn:aws:s3:::{name}",
    ("AWS::SNS::Topic", "Ref"): "arn:aws:sns:{region}:{account}:{name}",
    ("AWS::SQS::Queue", "Ref"): "https://sqs.{region}.amazonaws.com/{account}/{name}",
    ("AWS::SQS::Queue", "Arn"): "arn:aws:sqs:{region}:{account}:{name}",
    ("AWS::SQS::Queue", "QueueName"): "{name}",
    ("AWS::Serverless::Function", "Ref"): "{name}",
    ("AWS::Serverless::Function", "Arn"): "arn:aws:lambda:{region}:{account}:function:{name}",
    ("AWS::Serverless::Function", "Alias"): (
        "arn:aws:lambda:{region}:{account}:function:{name}:live"
    ),
    ("AWS::Serverless::StateMachine", "Ref"): (
        "arn:aws:states:{region}:{account}:stateMachine:{name}"
    ),
}


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their long ones: `!Ref A` is `{"Ref": "A"}`."""


def _construct(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)


def read_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """Return the template, its short forms written out."""
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    return document


def write_instances(path: Path) -> Path:
    """Write the template for Lambda Managed Instances; return its path."""
    done = subprocess.run(shlex.split(INSTANCES), cwd=ROOT, capture_output=True, check=True)
    path.write_bytes(done.stdout)
    return path


def list_combinations(template: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the values of every parameter that a condition reads, in every combination.

    A parameter without allowed values is a switch by being empty or not. What no condition reads
    keeps its default, but for the names of what a combination may need.
    """
    switches = sorted(set(_references(template["Conditions"])) - set(ALONE))
    names = {name: value for name, value in NAMED.items() if name in template["Parameters"]}
    values = []
    for name in switches:
        parameter = template["Parameters"][name]
        given = NAMED.get(name, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}")
        values.append(parameter.get("AllowedValues") or ["", given])
    for combination in itertools.product(*values):
        yield {**names, **dict(zip(switches, combination, strict=True))}
    for name, alone in ALONE.items():
        for value in alone if name in template["Parameters"] else ():
            yield {**names, name: value}
            yield {**names, name: value, "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}"}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "Ref" in node:
            yield node["Ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)


class Stack:
    """The template with its parameters given.

    Args:
        template: As `read_template` returns it.
        parameters: Those that differ from their defaults.

    Raises:
        LookupError: Something refers to a resource that these parameters leave out.
    """

    def __init__(self, template: dict[str, Any], parameters: Mapping[str, str]) -> None:
        self.template = template
        defaults = {name: one.get("Default", "") for name, one in template["Parameters"].items()}
        self.parameters = {**defaults, **parameters}
        self._conditions: dict[str, bool] = {}

    def holds(self, condition: str) -> bool:
        """Say whether a condition of the template holds."""
        if condition not in self._conditions:
            self._conditions[condition] = self.resolve(self.template["Conditions"][condition])
        return self._conditions[condition]

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources that there are, by logical name, as written."""
        return {
            name: resource
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def find_properties(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resolved properties of every resource of a type, by logical name."""
        return {
            name: self.resolve(resource["Properties"])
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    @cached_property
    def environment(self) -> dict[str, str]:
        """The function's environment variables."""
        (function,) = self.find_properties("AWS::Serverless::Function").values()
        variables: dict[str, object] = function["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()}

    @cached_property
    def keys(self) -> dict[str, str]:
        """ARN of a queue, bucket or table -> ARN of the customer's key that encrypts it."""
        found = dict.fromkeys(self._list_targets(), self.parameters.get("KmsKeyArn", ""))
        for name, queue in self.find_properties("AWS::SQS::Queue").items():
            found[self.attribute(name, "Arn")] = queue.get("KmsMasterKeyId", "")
        for name, bucket in self.find_properties("AWS::S3::Bucket").items():
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            key = rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID", "")
            found[self.attribute(name, "Arn")] = key
        return {arn: key for arn, key in found.items() if key}

    def _list_targets(self) -> Iterator[str]:
        """Yield the ARNs of the queues and tables that the stack is given and may use."""
        given = {name: self.parameters.get(name) for name in NAMED}
        yield f"arn:aws:sqs:{REGION}:{ACCOUNT}:{given['ResultsName']}"
        yield f"arn:aws:sqs:{REGION}:{ACCOUNT}:{given['ReviewName']}"
        yield f"arn:aws:sqs:{REGION}:{ACCOUNT}:{given['FeedbackName']}"
        for name in given.values():
            yield f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
        yield f"arn:aws:s3:::{self.parameters.get('ModelsBucket')}"

    def attribute(self, name: str, attribute: str) -> str:
        """Return what `Ref` (as attribute "Ref") or `Fn::GetAtt` says of a resource."""
        if name not in self.resources:
            raise LookupError(f"{name} is referred to, and {self.parameters} leave it out")
        resource = self.resources[name]
        physical = name
        if property_name := NAMES.get(resource["Type"]):
            physical = self.resolve(resource["Properties"][property_name])
        pattern = ATTRIBUTES.get((resource["Type"], attribute), "{name}." + attribute)
        return pattern.format(name=physical, region=REGION, account=ACCOUNT)

    def resolve(self, value: Any) -> Any:
        """Return a value with its intrinsic functions evaluated."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name in ("Ref", "Condition") and isinstance(argument, str):
                return self._reference(argument) if name == "Ref" else self.holds(argument)
            if name.startswith("Fn::"):
                return self._call(name, argument)
        items = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in items.items() if item is not NOTHING}

    def _reference(self, name: str) -> Any:
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameters[name]
        resource, _, attribute = name.partition(".")  # `MinnowFunction.Alias` is SAM's
        return self.attribute(resource, attribute or "Ref")

    def _call(self, function: str, argument: Any) -> Any:
        if function == "Fn::If":
            condition, yes, no = argument
            return self.resolve(yes if self.holds(condition) else no)
        if function == "Fn::GetAtt":
            return self.attribute(*argument)
        if function == "Fn::Sub":
            return re.sub(
                r"\$\{([^!}]+)\}", lambda found: str(self._substitute(found[1])), argument
            )
        arguments = self.resolve(argument)
        if function == "Fn::Equals":
            return str(arguments[0]) == str(arguments[1])
        if function == "Fn::Not":
            return not arguments[0]
        if function == "Fn::And":
            return all(arguments)
        if function == "Fn::Or":
            return any(arguments)
        if function == "Fn::Split":
            return arguments[1].split(arguments[0])
        raise NotImplementedError(f"{function}: teach it to tests/helpers/template.py")

    def _substitute(self, name: str) -> Any:
        if name in PSEUDO_PARAMETERS or name in self.parameters or "." not in name:
            return self._reference(name)
        return self.attribute(*name.split(".", 1))
