"""The roles of `template.yaml` against every call that is made in their name.

Each event source and each step of an object's job runs against a real server; every call of boto3
is written down, turned into the action and resource that AWS asks for, and held against the roles,
for every combination of the template's switches. What AWS's services do in the name of a role is
listed in `tests/helpers/service_needs.py`.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import boto3
import pytest

from tests.helpers.aws_calls import Call
from tests.helpers.deliveries import Recording, run_everything, send_by_every_sink
from tests.helpers.deployment import deploy
from tests.helpers.paths import ROOT
from tests.helpers.policies import (
    Need,
    find_unused,
    is_allowed,
    read_resource_denials,
    read_roles,
)
from tests.helpers.service_needs import MAPPING_ACTIONS, list_service_needs
from tests.helpers.template import Stack, list_combinations, read_template

pytestmark = pytest.mark.slow

TEMPLATE = read_template()
KINDS = (  # what tells which rights are granted, and which are needed
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Serverless::Function",
    "AWS::Serverless::StateMachine",
)
Record = Callable[[Stack], Recording]


class Findings(Counter[str]):
    """What is wrong -> in how many combinations."""

    def __str__(self) -> str:
        total = sum(count for _, count in list_stacks())
        lines = (f"{name}: in {count} of {total} combinations" for name, count in self.items())
        return "\n".join(["", *lines])


@pytest.fixture(scope="module")
def record(moto_url: str, tiny_bundle: Path, selective_bundle: Path) -> Record:
    """Return a function that tells who calls what in a stack.

    Run once for each set of the function's variables: nothing else changes what it calls.
    """
    recordings: dict[str, Recording] = {}

    def record_stack(stack: Stack) -> Recording:
        name = json.dumps(stack.environment)
        if name not in recordings:
            bundle = selective_bundle if stack.environment["MINNOW_REVIEW"] else tiny_bundle
            with deploy(stack, moto_url, bundle) as function:
                recordings[name] = run_everything(function)
        return recordings[name]

    return record_stack


@pytest.fixture(scope="module")
def sent(moto_url: str, tiny_bundle: Path) -> dict[str, list[Call]]:
    """What each sink calls, also those that the template does not use."""
    return send_by_every_sink(Stack(TEMPLATE, {}), moto_url, tiny_bundle)


@cache
def list_stacks() -> list[tuple[Stack, int]]:
    """Return the stacks that differ in rights, each with the number of its combinations."""
    stacks: dict[str, tuple[Stack, int]] = {}
    for combination in list_combinations(TEMPLATE):
        stack = Stack(TEMPLATE, combination)
        name = json.dumps([*(stack.find_properties(kind) for kind in KINDS), stack.keys])
        first, count = stacks.get(name, (stack, 0))
        stacks[name] = (first, count + 1)
    return list(stacks.values())


def list_needs(stack: Stack, recording: Recording) -> list[Need]:
    """Return what the calls and the services need of the roles of a stack."""
    needs = set(list_service_needs(stack))
    for role, calls in recording.items():
        for call in calls:
            for action, resource in call.needs(stack.keys):
                needs.add(Need(role, action, resource, call.operation))
    return sorted(needs, key=str)


def find_client_methods(folder: Path) -> Iterator[str]:
    """Yield the names of boto3's methods that stand in the modules below a folder."""
    methods = set[str]()
    for service in ("dynamodb", "events", "s3", "sqs"):
        methods |= set(boto3.client(service, "eu-west-1").meta.method_to_api_mapping)
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", "")
            if isinstance(name, str) and name in methods:
                yield name


def read_documented_rights() -> dict[str, set[str]]:
    """Return the table of rights in `docs/events.md`: what it is for -> actions."""
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    section = text.split("## Rights\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)`[^|]*\|(.+)\|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`([a-z0-9]+:[A-Z]\w+)`", cell)) for name, cell in rows}


def test_the_roles_allow_every_call_in_every_combination(record: Record) -> None:
    refused = Findings()
    for stack, count in list_stacks():
        roles, denials = read_roles(stack), read_resource_denials(stack)
        for need in list_needs(stack, record(stack)):
            if not is_allowed([*roles[need.role], *denials], need.action, need.resource):
                refused[f"{need.role} {need.action} {need.resource} ({need.reason})"] += count

    assert not refused, str(refused)


def test_no_granted_action_is_unused_in_any_combination(record: Record) -> None:
    unused = Findings()
    for stack, count in list_stacks():
        needs = list_needs(stack, record(stack))
        for role, statements in read_roles(stack).items():
            its_needs = [need for need in needs if need.role == role]
            for entry in find_unused(statements, its_needs):
                unused[f"{role} {entry}"] += count

    assert not unused, str(unused)


def test_every_call_that_events_can_make_has_been_made(
    record: Record, sent: dict[str, list[Call]]
) -> None:
    calls = record(Stack(TEMPLATE, {}))["FunctionRole"] + sum(sent.values(), [])
    made = {call.operation for call in calls}

    written = {
        name
        for room in ("events", "objects", "sinks")
        for name in find_client_methods(ROOT / "handler" / room)
    }
    operations = {name.title().replace("_", "") for name in written}
    assert operations - made == set()
    # Powertools keeps its records by calls of its own.
    assert made - operations == {"DeleteItem", "GetItem", "UpdateItem"}


def test_the_documentation_names_the_rights_of_every_sink(sent: dict[str, list[Call]]) -> None:
    documented = read_documented_rights()

    for sink, calls in sent.items():
        needed = {action for call in calls for action, _ in call.needs({})}
        assert documented[sink] == needed, sink


def test_the_documentation_names_the_rights_of_objects_and_mappings(record: Record) -> None:
    documented = read_documented_rights()
    needed: dict[str, set[str]] = {"texts": set(), "results": set(), "sqs": set()}
    for call in record(Stack(TEMPLATE, {}))["FunctionRole"]:
        for action, resource in call.needs({}):
            place = next(name for name in ("sqs:eu-west-1", "results", "texts") if name in resource)
            needed[place.split(":")[0]].add(action)

    assert documented["MINNOW_OBJECT_SOURCE"] == needed["texts"]
    assert documented["MINNOW_OBJECT_RESULTS"] == needed["results"]
    assert documented["MINNOW_CONTINUATION_QUEUE"] == {*needed["sqs"], "sqs:GetQueueUrl"}
    for service, actions in MAPPING_ACTIONS.items():
        assert documented[f"aws:{service}"] == set(actions)
