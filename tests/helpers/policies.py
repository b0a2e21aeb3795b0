"""IAM's decision on a request, for policies of the kind that `template.yaml` holds.

An explicit Deny of any policy wins; otherwise a statement of the role must allow. What this does
not know (NotAction, another condition operator, a policy variable) is an error, never a yes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.helpers.template import Stack

KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
# Every request of botocore and of a service goes over TLS.
CONTEXT = {"aws:SecureTransport": "true"}


@dataclass(frozen=True)
class Need:
    """An action on a resource that a role must be allowed, and why."""

    role: str
    action: str
    resource: str
    reason: str


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; `Condition` is its operators, empty for none."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def fits(self, action: str, resource: str, context: Mapping[str, str] = CONTEXT) -> bool:
        """Say whether the statement speaks of this request."""
        return (
            any(_fits(pattern.lower(), action.lower()) for pattern in self.actions)
            and any(_fits(pattern, resource) for pattern in self.resources)
            and all(
                _holds(operator, key, wanted, context)
                for operator, keys in self.condition.items()
                for key, wanted in keys.items()
            )
        )


def read_statements(document: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a resolved policy document."""
    statements = []
    for entry in document["Statement"]:
        if unknown := set(entry) - KNOWN:
            raise NotImplementedError(f"{unknown}: teach it to tests/helpers/policies.py")
        actions, resources = _list(entry["Action"]), _list(entry.get("Resource", "*"))
        if any("${" in value for value in (*actions, *resources)):
            raise NotImplementedError("policy variables: teach them to tests/helpers/policies.py")
        statements.append(
            Statement(entry["Effect"], tuple(actions), tuple(resources), entry.get("Condition", {}))
        )
    return statements


def read_roles(stack: Stack) -> dict[str, list[Statement]]:
    """Return the statements of each role of the stack, by its logical name."""
    return {
        name: [
            statement
            for policy in role["Policies"]
            for statement in read_statements(policy["PolicyDocument"])
        ]
        for name, role in stack.find_properties("AWS::IAM::Role").items()
    }


def read_resource_denials(stack: Stack) -> list[Statement]:
    """Return what the policies of buckets, queues and topics deny to everybody."""
    kinds = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    return [
        statement
        for kind in kinds
        for policy in stack.find_properties(kind).values()
        for statement in read_statements(policy["PolicyDocument"])
        if statement.effect == "Deny"
    ]


def is_allowed(statements: Sequence[Statement], action: str, resource: str) -> bool:
    """Say whether IAM lets a request through.

    Args:
        statements: Those of the caller's role and those of the resources' own policies.
        action: For example `s3:GetObject`.
        resource: Its ARN, or `*` where the action knows no resource.
    """
    effects = {one.effect for one in statements if one.fits(action, resource)}
    return effects == {"Allow"}


def find_unused(statements: Sequence[Statement], needs: Sequence[Need]) -> set[str]:
    """Return the actions and resources of `statements` that none of `needs` asks for."""
    unused = set()
    for statement in statements:
        fitting = [need for need in needs if statement.fits(need.action, need.resource)]
        for action in statement.actions:
            if not any(_fits(action.lower(), need.action.lower()) for need in fitting):
                unused.add(f"{action} on {', '.join(statement.resources)}")
        for resource in statement.resources:
            if not any(_fits(resource, need.resource) for need in fitting):
                unused.add(f"{resource} for {', '.join(statement.actions)}")
    return unused


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _fits(pattern: str, value: str) -> bool:
    """Say whether `value` fits a pattern in which `*` is any text and `?` any character."""
    regular = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(regular, value, re.DOTALL) is not None


def _holds(operator: str, key: str, wanted: Any, context: Mapping[str, str]) -> bool:
    value = context.get(key)
    if value is None:
        return False
    if operator in ("StringEquals", "Bool"):
        return value in _list(wanted)
    if operator in ("StringLike", "ArnEquals", "ArnLike"):
        return any(_fits(pattern, value) for pattern in _list(wanted))
    raise NotImplementedError(f"{operator}: teach it to tests/helpers/policies.py")
