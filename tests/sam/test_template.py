"""The template: by three linters, as written and as CloudFormation gets it, and what they miss."""

import json
import os
import subprocess

import pytest

from tests.helpers.emulator import ROOT
from tests.helpers.template import write_instances

pytestmark = [pytest.mark.sam, pytest.mark.slow]

TEMPLATE = ROOT / "template.yaml"
DURABLE = ROOT / "durable.yaml"
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
ENVIRONMENT = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"}


@pytest.fixture(scope="module")
def transformed_file(sam, tmp_path_factory):
    file = tmp_path_factory.mktemp("template") / "transformed.json"
    file.write_text(transform(sam, TEMPLATE))
    return file


@pytest.fixture(scope="module")
def transformed_durable(sam, tmp_path_factory):
    file = tmp_path_factory.mktemp("durable") / "transformed.json"
    file.write_text(run(sam.parent / "python", ROOT / "tests/sam/transform.py", DURABLE))
    return file


@pytest.fixture(scope="module")
def resources(transformed_file):
    return json.loads(transformed_file.read_text())["Resources"]


def run(*command):
    done = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def transform(sam, template):
    """Return the text of what CloudFormation gets."""
    return run(sam.parent / "python", ROOT / "tests/sam/transform.py", template)


def of_type(resources, kind):
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}


@pytest.mark.parametrize("template", [TEMPLATE, DURABLE], ids=lambda path: path.stem)
def test_sam_validates_and_lints_the_template(sam, template):
    run(sam, "validate", "--lint", "--template", template)


def test_cfn_lint_with_the_serverless_rules_finds_nothing(sam):
    rules = ("--append-rules", "cfn_lint_serverless.rules")
    run(sam.parent / "cfn-lint", *rules, "--", TEMPLATE, DURABLE)


def test_cfn_lint_finds_nothing_in_what_cloudformation_gets(
    sam, transformed_file, transformed_durable
):
    # W2001: the translator writes the value of DeploymentType in place of the reference.
    # W1030: as in the template, whose own list of exceptions the option replaces.
    run(
        sam.parent / "cfn-lint",
        "--ignore-checks",
        "W2001",
        "W1030",
        "W1031",
        "--",
        transformed_file,
        transformed_durable,
    )


def test_checkov_finds_nothing_in_any_without_a_reason_beside_it(
    sam, transformed_file, transformed_durable
):
    options = ("--compact", "--quiet", "--skip-download", "--framework", "cloudformation")
    files = [TEMPLATE, transformed_file, DURABLE, transformed_durable]

    report = run(CHECKOV, *options, *(x for file in files for x in ("-f", file)), "-o", "json")

    assert json.loads(report)["summary"]["failed"] == 0
    assert json.loads(report)["summary"]["parsing_errors"] == 0
    assert json.loads(report)["summary"]["passed"] > 100


def test_the_template_for_managed_instances_passes_the_linters_and_reaches_cloudformation(
    sam, tmp_path
):
    written = write_instances(tmp_path / "instances.yaml")
    run(sam, "validate", "--lint", "-t", written)
    (tmp_path / "transformed.json").write_text(transform(sam, written))
    cloudformation = json.loads((tmp_path / "transformed.json").read_text())
    linter = (sam.parent / "cfn-lint", "--ignore-checks", "W2001", "W1030", "W1031", "--")
    run(*linter, tmp_path / "transformed.json")

    function = cloudformation["Resources"]["MinnowFunction"]["Properties"]
    assert function["CapacityProviderConfig"]["LambdaManagedInstancesCapacityProviderConfig"] == {
        "CapacityProviderArn": {"Ref": "CapacityProviderArn"},
        "PerExecutionEnvironmentMaxConcurrency": {"Ref": "ProcessesPerEnvironment"},
        "ExecutionEnvironmentMemoryGiBPerVCpu": 2,
    }
    assert not {"SnapStart", "ReservedConcurrentExecutions"} & set(function)


def test_sam_still_takes_no_condition_around_the_capacity_provider(sam, tmp_path):
    """Else it could be a parameter of the one template."""
    text = write_instances(tmp_path / "instances.yaml").read_text()
    text = text.replace(
        "CapacityProviderConfig:\n", "CapacityProviderConfig:\n        Fn::If: []\n"
    )
    (tmp_path / "conditional.yaml").write_text(text)

    with pytest.raises(AssertionError, match="Fn::If\\\\n  extra fields not permitted"):
        transform(sam, tmp_path / "conditional.yaml")


def test_queue_reports_batch_item_failures_and_leaves_room_for_others(resources):
    (mapping,) = of_type(resources, "AWS::Lambda::EventSourceMapping").values()

    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    limit = {"MaximumConcurrency": {"Ref": "QueueConcurrency"}}
    assert mapping["ScalingConfig"] == {"Fn::If": ["WithPollers", {}, limit]}


def test_queue_hides_a_message_for_six_timeouts_and_gives_up_after_five_tries(resources):
    queue = resources["TextsQueue"]["Properties"]

    assert queue["VisibilityTimeout"] >= 6 * resources["MinnowFunction"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["TextsDeadLetters", "Arn"]},
        "maxReceiveCount": 5,
    }


def test_every_source_has_its_own_place_for_what_fails(resources):
    (rule,) = of_type(resources, "AWS::Events::Rule").values()
    (subscription,) = of_type(resources, "AWS::SNS::Subscription").values()
    (asynchronous,) = of_type(resources, "AWS::Lambda::EventInvokeConfig").values()

    places = [
        rule["Targets"][0]["DeadLetterConfig"]["Arn"],
        subscription["RedrivePolicy"]["deadLetterTargetArn"],
        asynchronous["DestinationConfig"]["OnFailure"]["Destination"],
    ]
    names = [place["Fn::GetAtt"][0] for place in places]
    assert names == ["RuleDeadLetters", "TopicDeadLetters", "FailedEvents"]
    alarmed = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    assert alarmed == {*names, "TextsDeadLetters"}


def test_nothing_is_open_unless_a_parameter_says_so_in_words(transformed_file, resources):
    template = json.loads(transformed_file.read_text())
    (route,) = of_type(resources, "AWS::ApiGatewayV2::Route").values()
    (url,) = of_type(resources, "AWS::Lambda::Url").values()

    assert template["Parameters"]["HttpAuth"]["Default"] == "iam"
    assert "open-to-everyone" in template["Parameters"]["HttpAuth"]["AllowedValues"]
    assert route["AuthorizationType"] == {
        "Fn::If": [
            "WithIam",
            "AWS_IAM",
            {"Fn::If": ["WithJwt", "JWT", {"Fn::If": ["WithAuthorizer", "CUSTOM", "NONE"]}]},
        ]
    }
    assert url["AuthType"] == "AWS_IAM"


def test_policies_star_only_what_knows_no_resource(resources):
    starred = set()
    for role in of_type(resources, "AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role
        for policy in role["Policies"]:
            policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                actions = [actions] if isinstance(actions, str) else actions
                assert not [action for action in actions if "*" in action]
                if statement["Resource"] == "*":
                    starred.update(action.split(":")[0] for action in actions)
    assert starred == {"xray", "logs"}


@pytest.mark.parametrize(
    "source",
    ["WithHttp", "WithFunctionUrl", "WithQueue", "WithBucket", "WithTopic", "WithEvents"],
)
def test_a_source_that_is_off_leaves_nothing_that_refers_to_it(resources, source):
    """What is always there may name a conditional resource only inside `Fn::If`."""
    conditional = {name for name, r in resources.items() if r.get("Condition") == source}
    assert conditional

    for name, resource in resources.items():
        if resource.get("Condition") is None:
            assert not conditional & set(references(resource["Properties"])), name


def references(node):
    """Yield the names that a value refers to outside `Fn::If`."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict) and "Fn::If" not in node:
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.split(".")[0]
            else:
                yield from references(value)


def test_alias_moves_by_a_deployment_that_an_alarm_rolls_back(resources):
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()
    (group,) = of_type(resources, "AWS::CodeDeploy::DeploymentGroup").values()

    assert alias["Name"] == "live"
    assert group["AlarmConfiguration"] == {
        "Enabled": True,
        "Alarms": [{"Name": {"Ref": "ErrorsAlarm"}}],
    }
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_state_machine_reads_a_prefix_and_calls_the_alias_as_s3_would(resources):
    (machine,) = of_type(resources, "AWS::StepFunctions::StateMachine").values()
    definition = machine["DefinitionString"]["Fn::Join"][1]
    state = json.loads("".join(definition))["States"]["ScoreObjects"]

    task = state["ItemProcessor"]["States"]["ScoreObject"]
    assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert state["ItemReader"]["Arguments"]["Prefix"] == "{% $states.input.prefix %}"
    assert state["ItemSelector"]["eventSource"] == "aws:s3"
    assert task["Arguments"]["Payload"] == {"Records": ["{% $states.input %}"]}


def test_the_durable_function_is_one_and_is_called_by_a_version(transformed_durable):
    resources = json.loads(transformed_durable.read_text())["Resources"]
    (function,) = of_type(resources, "AWS::Lambda::Function").values()
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()

    # Any other Python is refused where a function with a DurableConfig is made.
    assert function["Runtime"] in ("python3.13", "python3.14")
    assert function["DurableConfig"]["ExecutionTimeout"] == {"Ref": "ExecutionSeconds"}
    assert alias["Name"] == "live"
    assert not of_type(resources, "AWS::IAM::Policy")
    assert list(of_type(resources, "AWS::IAM::Role")) == ["PeopleRole"]
