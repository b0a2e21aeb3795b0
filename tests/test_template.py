"""The template as CloudFormation resolves it, in every combination of its switches."""

from __future__ import annotations

import inspect
import json
from typing import Any, get_args

import pytest

from handler.inference.monitor import NAMESPACE
from handler.package import RUNTIME, RUNTIMES
from minnow.commands import package
from tests.helpers.paths import ROOT
from tests.helpers.policies import read_statements
from tests.helpers.service_needs import SERVICES
from tests.helpers.template import (
    ACCOUNT,
    INSTANCES,
    Stack,
    list_combinations,
    read_template,
    write_instances,
)

TEMPLATE = read_template()
SERVERLESS = ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")


def make_template(**resources: dict[str, Any]) -> dict[str, Any]:
    return {
        "Parameters": {"Queue": {"Default": "on", "AllowedValues": ["on", "off"]}},
        "Conditions": {"WithQueue": {"Fn::Equals": [{"Ref": "Queue"}, "on"]}},
        "Resources": resources,
    }


def is_refused(rule: dict[str, Any], stack: Stack) -> bool:
    (assertion,) = rule["Assertions"]
    return bool(stack.resolve(rule["RuleCondition"]) and not stack.resolve(assertion["Assert"]))


def find_function(stack: Stack) -> dict[str, Any]:
    (function,) = stack.find_properties("AWS::Serverless::Function").values()
    return function


@pytest.mark.slow
def test_no_combination_refers_to_a_resource_that_it_leaves_out() -> None:
    for combination in list_combinations(TEMPLATE):
        stack = Stack(TEMPLATE, combination)
        for resource in stack.resources.values():
            stack.resolve(resource["Properties"])  # raises LookupError
        for output in TEMPLATE["Outputs"].values():
            if "Condition" not in output or stack.holds(output["Condition"]):
                stack.resolve(output["Value"])


def test_every_role_is_written_out_and_can_be_assumed_by_its_service_alone() -> None:
    stack = Stack(TEMPLATE, {})
    roles = stack.find_properties("AWS::IAM::Role")

    assert set(roles) == set(SERVICES)
    for name, role in roles.items():
        assert set(role) == {"AssumeRolePolicyDocument", "Policies"}  # no managed policy
        (entry,) = role["AssumeRolePolicyDocument"]["Statement"]
        (statement,) = read_statements(role["AssumeRolePolicyDocument"])
        assert entry["Principal"] == {"Service": SERVICES[name]}
        assert statement.effect == "Allow"
        assert statement.fits("sts:AssumeRole", "*", {"aws:SourceAccount": ACCOUNT})
        assert not statement.fits("sts:TagSession", "*", {"aws:SourceAccount": ACCOUNT})


def test_sam_adds_no_role_of_its_own() -> None:
    for kind in SERVERLESS:
        for name, properties in Stack(TEMPLATE, {}).find_properties(kind).items():
            assert properties["Role"].startswith(f"arn:aws:iam::{ACCOUNT}:role/"), name
            assert not {"Policies", "Events", "PermissionsBoundary"} & set(properties), name
    (function,) = Stack(TEMPLATE, {}).find_properties(SERVERLESS[0]).values()
    assert function["DeploymentPreference"]["Role"].endswith("role/DeploymentRole")


def test_intrinsic_functions_are_evaluated() -> None:
    properties = {
        "QueueName": {"Fn::Sub": "${AWS::StackName}-texts-$latest"},
        "Kept": {"Fn::If": ["WithQueue", "on", "off"]},
        "Left": {"Fn::If": ["WithQueue", {"Ref": "AWS::NoValue"}, "off"]},
        "Listed": ["a", {"Ref": "AWS::NoValue"}],
        "Split": {"Fn::Split": [",", "a,b"]},
        "Own": {"Fn::GetAtt": ["Texts", "Arn"]},
    }
    stack = Stack(make_template(Texts={"Type": "AWS::SQS::Queue", "Properties": properties}), {})

    assert stack.find_properties("AWS::SQS::Queue")["Texts"] == {
        "QueueName": "minnow-texts-$latest",
        "Kept": "on",
        "Listed": ["a"],
        "Split": ["a", "b"],
        "Own": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:minnow-texts-$latest",
    }


def test_a_reference_to_a_resource_that_is_left_out_is_an_error() -> None:
    queue = {"Type": "AWS::SQS::Queue", "Condition": "WithQueue", "Properties": {"QueueName": "q"}}
    policy = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue1"}]}}
    template = make_template(Queue1=queue, Policy=policy)

    assert Stack(template, {}).find_properties("AWS::SQS::QueuePolicy")
    with pytest.raises(LookupError, match="Queue1 is referred to"):
        Stack(template, {"Queue": "off"}).find_properties("AWS::SQS::QueuePolicy")


def test_an_unknown_intrinsic_function_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="Fn::ImportValue"):
        Stack(make_template(), {}).resolve({"Fn::ImportValue": "a"})


def test_every_parameter_that_a_condition_reads_is_a_switch() -> None:
    assert list(list_combinations(make_template())) == [{"Queue": "on"}, {"Queue": "off"}]


@pytest.mark.parametrize("to", ["ReviewTo", "ResultsTo"])
@pytest.mark.parametrize(("kind", "is_used"), [("queue", True), ("bus", True), ("table", False)])
def test_results_and_reviews_of_queue_and_bus_are_sent_once(
    to: str, kind: str, is_used: bool
) -> None:
    names = {"ReviewName": "review", "ResultsName": "results", "IdempotencyTableName": "records"}
    stack = Stack(TEMPLATE, {**names, to: kind})

    assert stack.holds("WithIdempotencyTable") == is_used
    assert stack.environment.get("MINNOW_IDEMPOTENCY_TABLE", "") == ("records" if is_used else "")


def test_a_signature_is_not_required_without_a_key() -> None:
    rule = TEMPLATE["Rules"]["RequiredSignatureNeedsKeys"]

    for required, keys, is_bad in (("true", "", True), ("true", "K", False), ("false", "", False)):
        stack = Stack(TEMPLATE, {"RequireSignature": required, "TrustedKeys": keys})
        assert is_refused(rule, stack) == is_bad


@pytest.mark.parametrize("is_on", [True, False])
def test_drift_is_watched_and_rings_by_one_switch(is_on: bool) -> None:
    stack = Stack(TEMPLATE, {} if is_on else {"Drift": "off"})
    alarms = stack.find_properties("AWS::CloudWatch::Alarm")

    assert str(stack.environment["MINNOW_PROFILE_EVERY"]) == ("1000" if is_on else "0")
    assert ("DriftAlarm" in alarms) == is_on
    if is_on:
        alarm = alarms["DriftAlarm"]
        (function,) = stack.find_properties("AWS::Serverless::Function").values()
        assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, "drift")
        assert alarm["Dimensions"] == [{"Name": "function", "Value": function["FunctionName"]}]
        # Of a thousand windows in an hour one has drifted by chance: not any one may ring.
        assert (alarm["Statistic"], float(alarm["Threshold"])) == ("Average", 0.02)


def test_the_dashboard_is_json_and_shows_what_alarms_ring_for() -> None:
    (dashboard,) = Stack(TEMPLATE, {}).find_properties("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]

    assert len({widget["properties"]["title"] for widget in widgets}) == len(widgets)
    assert {widget["type"] for widget in widgets} == {"metric"}
    shown = json.dumps(widgets)
    assert all(f'"{name}"' in shown for name in ("Errors", "Throttles", "drift", "drift_psi"))


def test_the_runtime_is_a_choice_of_what_the_build_knows() -> None:
    runtime = TEMPLATE["Parameters"]["Runtime"]

    assert (runtime["Default"], tuple(runtime["AllowedValues"])) == (RUNTIME, RUNTIMES)
    default = inspect.signature(package.package).parameters["runtime"].default
    assert (default, get_args(get_args(package.Runtime)[0])) == (RUNTIME, RUNTIMES)
    assert find_function(Stack(TEMPLATE, {"Runtime": "python3.14"}))["Runtime"] == "python3.14"
    assert f"\nRUNTIME ?= {RUNTIME}\n" in (ROOT / "Makefile").read_text()
    assert f"\nversion={RUNTIME.removeprefix('python')}\n" in (ROOT / ".ci/run").read_text()


def test_the_queue_has_pollers_of_its_own_or_a_limit_never_both() -> None:
    (default,) = Stack(TEMPLATE, {}).find_properties("AWS::Lambda::EventSourceMapping").values()
    parameters = {"QueueMinimumPollers": "3", "QueueMaximumPollers": "40"}
    provisioned = Stack(TEMPLATE, parameters)
    (mapping,) = provisioned.find_properties("AWS::Lambda::EventSourceMapping").values()

    assert default["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert "ProvisionedPollerConfig" not in default
    assert mapping["ScalingConfig"] == {}
    assert mapping["ProvisionedPollerConfig"] == {"MinimumPollers": "3", "MaximumPollers": "40"}
    rule = TEMPLATE["Rules"]["PollersAreTwoOrMore"]
    refused = [n for n in "0123" if is_refused(rule, Stack(TEMPLATE, {"QueueMinimumPollers": n}))]
    assert refused == ["1"]


def test_on_managed_instances_the_rest_of_the_stack_is_the_same(tmp_path) -> None:
    template = read_template(write_instances(tmp_path / "instances.yaml"))
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:capacity-provider:mine"
    stack = Stack(template, {"CapacityProviderArn": arn})
    function, usual = find_function(stack), find_function(Stack(TEMPLATE, {}))

    assert function["CapacityProviderConfig"] == {
        "Arn": arn,
        "PerExecutionEnvironmentMaxConcurrency": 4,
        "ExecutionEnvironmentMemoryGiBPerVCpu": 2,
    }
    # The bounds of what can be spent; snapshots and reserved concurrency are the usual function's.
    assert function["FunctionScalingConfig"] == {
        "MinExecutionEnvironments": 3,
        "MaxExecutionEnvironments": 6,
    }
    assert set(usual) - set(function) == {"ReservedConcurrentExecutions", "SnapStart"}
    assert {name for name in usual.keys() & function if usual[name] != function[name]} == {
        "MemorySize"
    }
    assert "python3.12" not in template["Parameters"]["Runtime"]["AllowedValues"]
    del template["Resources"]["MinnowFunction"]
    others = {name: one for name, one in TEMPLATE["Resources"].items() if name != "MinnowFunction"}
    assert template["Resources"] == others


def test_one_command_makes_the_template_for_managed_instances_everywhere() -> None:
    for name in ("Makefile", "docs/operations.md"):
        assert INSTANCES in (ROOT / name).read_text().replace("$$", "$"), name
