"""A prefix is scored, people label what the model did not answer, and their labels are filled in:
on AWS's local runner, with a real S3 on loopback."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handler.durable import function as durable
from handler.durable import listing
from handler.errors import DeliveryError, HandlerError
from handler.events.resources import Resources
from handler.inference.classifier import load_classifier
from handler.inference.models import Model, Models
from handler.settings import read_settings
from tests.helpers.durable import ENVIRONMENT, LocalRunner, Recorded
from tests.helpers.paths import ROOT
from tests.helpers.policies import Need, find_unused, is_allowed, read_roles
from tests.helpers.template import ACCOUNT, REGION, STACK, Stack, read_template

TEXTS, RESULTS = (f"{STACK}-{name}-{ACCOUNT}" for name in ("texts", "results"))
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{STACK}-people"
CSV = "id,text\n1,good good\n2,good film\n3,bad\n"
SCORED_CSV = [
    "id,text,predicted_label,predicted_score,abstained,best_label,model_version",
    "1,good good,pos,0.982014,,pos,1",
    "2,good film,,0.880797,uncertain,pos,1",
    "3,bad,,0.880797,uncertain,neg,1",
]


@pytest.fixture
def start(
    aws: Callable[[str], Any],
    s3: Any,
    selective_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., LocalRunner]]:
    """Return a function that starts an execution, with the event's fields."""
    runners = []

    def start(
        bundle: Path = selective_bundle,
        environment: dict[str, str] = ENVIRONMENT,
        **event: Any,
    ) -> LocalRunner:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        results = environment["MINNOW_REVIEW"].split("/")[2]
        settings = read_settings({"MINNOW_OBJECT_RESULTS": f"s3://{results}/objects/"})
        model = Model(load_classifier(bundle), settings.limits)
        runner = LocalRunner(s3, Resources(Models([model]), settings.events), results)
        runner.recorded = Recorded(aws("s3"))
        monkeypatch.setattr(durable, "_s3", lambda: runner.recorded)
        runners.append(runner)
        runner.start(**event)
        return runner

    yield start
    for runner in runners:
        runner.close()


def put(s3: Any, **contents: str | bytes) -> None:
    """Put objects below `in/`; an underline of a name stands for a dot."""
    for name, content in contents.items():
        body = content.encode() if isinstance(content, str) else content
        s3.put_object(Bucket="texts", Key=f"in/{name.replace('_', '.')}", Body=body)


@pytest.mark.slow
def test_people_label_what_was_not_answered(
    s3: Any, start: Callable[..., LocalRunner], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    put(s3, a_csv=CSV, c_png="x", d_txt="good film\ngood good good\n")
    s3.put_object(Bucket="texts", Key="in/_SUCCESS", Body=b"")
    put(s3, b_jsonl_gz=gzip.compress(b'{"text": "good film", "n": 1.50}\n{"text": "good good"}\n'))

    run = start(prefix="in/")
    note = run.wait_until_asked()
    before = run.read("objects/texts/in/a.csv").splitlines()
    run.label(note, lambda row: "neg" if row["text"] == "good film" else "")
    done = run.finish()

    assert before == SCORED_CSV
    assert run.read("objects/texts/in/a.csv").splitlines() == [
        *SCORED_CSV[:2],
        "2,good film,neg,0.880797,uncertain,pos,1",
        SCORED_CSV[3],
    ]
    packed = s3.get_object(Bucket="results", Key="objects/texts/in/b.jsonl.gz")
    first, second = gzip.decompress(packed["Body"].read()).splitlines()
    assert first.startswith(b'{"text": "good film", "n": 1.50, "predicted_label": "neg", ')
    assert json.loads(second)["predicted_label"] == "pos"
    assert run.read("objects/texts/in/d.txt") == (
        "neg\t0.880797\tuncertain\tpos\t1\tgood film\npos\t0.997527\t\tpos\t1\tgood good good\n"
    )
    report = {one["key"]: one for one in done.pop("report")}
    assert [one["status"] for one in report.values()] == ["done", "done", "failed", "done"]
    assert "the file's name does not end in one of" in report["in/c.png"]["reason"]
    assert (report["in/a.csv"]["rows"], report["in/a.csv"]["labelled"]) == (2, 1)
    counts = ("objects", "scored", "failed", "asked", "answered", "problems", "next")
    assert [done[name] for name in counts] == [4, 3, 1, 4, 3, 0, None]
    assert {*run.scored.values()} == {1}
    assert run.num_operations == 10 + 3 * 3 + 1  # three of each that people label, one of c.png
    for told in (run.read_history(), caplog.text):
        assert "good film" not in told


@pytest.mark.slow
def test_what_dies_amid_its_work_does_nothing_twice(
    s3: Any, start: Callable[..., LocalRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, a_csv=CSV, b_csv=CSV)
    calls = {"collect_rows": 0, "check_labels": 0, "fill_in": 0}

    class Killed(BaseException):
        """As if the process had ended: no step sees it."""

    def die_once(name: str, error: type[BaseException]) -> None:
        work = getattr(durable, name)

        def done_and_lost(*arguments: Any) -> Any:
            calls[name] += 1
            answer = work(*arguments)
            if calls[name] == 1:
                raise error("lost")
            return answer

        monkeypatch.setattr(durable, name, done_and_lost)

    die_once("collect_rows", Killed)
    die_once("check_labels", DeliveryError)
    die_once("fill_in", Killed)

    run = start(prefix="in/")
    run.label(run.wait_until_asked(), lambda row: "pos")
    done = run.finish()

    assert run.scored == {"in%2Fa.csv": 1, "in%2Fb.csv": 1}
    assert all(count > 1 for count in calls.values())
    assert [one["labels"] for one in done["report"]] == ["merged", "merged"]
    labelled = [line.split(",")[2] for line in run.read("objects/texts/in/b.csv").splitlines()[1:]]
    assert labelled == ["pos", "pos", "pos"]


@pytest.mark.slow
def test_nobody_answers_and_the_run_goes_on(s3: Any, start: Callable[..., LocalRunner]) -> None:
    put(s3, a_csv=CSV)

    run = start(prefix="in/", days=1 / 86_400)
    done = run.finish()

    assert (done["asked"], done["answered"], done["problems"]) == (2, 0, 1)
    assert run.read("objects/texts/in/a.csv").splitlines() == SCORED_CSV


@pytest.mark.slow
def test_labels_that_are_wrong_are_asked_for_again(
    s3: Any, start: Callable[..., LocalRunner]
) -> None:
    put(s3, a_csv=CSV)
    run = start(prefix="in/")
    note = run.wait_until_asked()

    run.call_back(note)  # and no labels
    note = run.wait_until_asked(2)
    (problem,) = run.read(run.name_key(note["told"])).splitlines()
    run.label(note, lambda row: "posh")
    note = run.wait_until_asked(3)
    problems = [json.loads(line) for line in run.read(run.name_key(note["told"])).splitlines()]
    run.label(note, lambda row: "neg")
    done = run.finish()

    assert json.loads(problem) == {
        "row": 0,
        "reason": "0 objects have names that begin with labels., wanted one",
    }
    reason = "label is none of the model's 2 labels"
    assert problems == [{"row": 1, "reason": reason}, {"row": 2, "reason": reason}]
    assert (done["answered"], done["problems"]) == (2, 0)


@pytest.mark.slow
def test_a_result_that_is_a_newer_one_is_left_alone(
    s3: Any, start: Callable[..., LocalRunner]
) -> None:
    put(s3, a_csv=CSV)
    run = start(prefix="in/")
    note = run.wait_until_asked()

    s3.put_object(Bucket="results", Key="objects/texts/in/a.csv", Body=b"newer")
    run.label(note, lambda row: "neg")
    done = run.finish()

    assert [one["labels"] for one in done["report"]] == ["superseded"]
    assert done["answered"] == 0
    assert run.read("objects/texts/in/a.csv") == "newer"


@pytest.mark.slow
def test_what_may_pass_is_tried_again_and_what_outlasts_an_invocation_is_waited_for(
    s3: Any, start: Callable[..., LocalRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, a_csv=CSV)
    polls = []

    def stands_in_the_end(*arguments: Any) -> bool:
        polls.append(arguments[1:])
        if len(polls) == 2:
            raise DeliveryError("head_object failed: 503")
        return len(polls) == 3

    monkeypatch.setattr(durable, "stands", stands_in_the_end)
    continued = {"status": "continued", "rows": 1, "result": "s3://results/k", "job": "j"}
    answers = iter([DeliveryError("get_object failed: 503"), continued])
    score = LocalRunner._score

    def hand_on_once(self: LocalRunner, event: Any, context: Any) -> Any:
        answer = next(answers, None) if "Records" in event else None
        if isinstance(answer, Exception):
            raise answer
        return {"results": [answer]} if answer else score(self, event, context)

    monkeypatch.setattr(LocalRunner, "_score", hand_on_once)

    run = start(prefix="in/")
    run.label(run.wait_until_asked(), lambda row: "neg")
    done = run.finish()

    assert polls == [(durable.ObjectRef("results", "k"), "j")] * 3
    assert (done["scored"], done["answered"]) == (1, 2)


@pytest.mark.slow
def test_a_large_prefix_is_taken_in_pages_and_in_several_executions(
    s3: Any,
    start: Callable[..., LocalRunner],
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(s3, a_txt="good\n", b_txt="good\n", c_txt="good\n")
    monkeypatch.setattr(listing, "PAGE_OBJECTS", 1)
    monkeypatch.setattr(durable, "MAX_OBJECTS", 2)

    first = start(tiny_bundle, prefix="in/").finish()
    second = start(tiny_bundle, prefix="in/", after=first["next"]).finish()
    third = start(tiny_bundle, prefix="elsewhere/").finish()

    keys = [[one["key"] for one in run["report"]] for run in (first, second, third)]
    assert keys == [["in/a.txt", "in/b.txt"], ["in/c.txt"], []]
    assert (first["next"], second["next"], third["next"]) == ("in/b.txt", None, None)
    assert (first["asked"], third["objects"]) == (0, 0)  # a model that answers every text


@pytest.mark.slow
def test_an_execution_that_cannot_begin_fails_and_says_why(
    start: Callable[..., LocalRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "prefix: wanted the beginning" in start().fail()

    monkeypatch.setattr(LocalRunner, "_score", lambda *_: {"status": "ready", "model": {}})
    assert "of this version or a later one" in start(prefix="in/").fail()


@pytest.mark.parametrize(
    ("event", "changed", "reason"),
    [
        ({}, {}, "prefix: wanted the beginning"),
        ({"prefix": 7}, {}, "prefix: wanted the beginning"),
        ({"prefix": "", "after": 7}, {}, "after: wanted a key"),
        ({"prefix": "", "days": 0}, {}, "days: wanted how long"),
        ({"prefix": "", "days": True}, {}, "days: wanted how long"),
        ({"prefix": "", "days": 3}, {"MINNOW_EXECUTION_S": "259200"}, "up to 2 and a second"),
        ({"prefix": ""}, {"MINNOW_EXECUTION_S": "86400"}, "wanted seconds, more than 86400"),
        ({"prefix": ""}, {"MINNOW_EXECUTION_S": "a week"}, "wanted seconds, more than 86400"),
        ({"prefix": "", "day": 1}, {}, "1 unknown fields, wanted prefix, after, days"),
        ({"prefix": ""}, {"MINNOW_FUNCTION": ""}, "MINNOW_FUNCTION is not set"),
        ({"prefix": ""}, {"MINNOW_OBJECT_SOURCE": ""}, "MINNOW_OBJECT_SOURCE is not set"),
        ({"prefix": ""}, {"MINNOW_REVIEW": "sqs://review"}, "MINNOW_REVIEW names no bucket"),
        ({"prefix": ""}, {"MINNOW_REVIEW": "s3://texts/x/"}, "would trigger the function"),
    ],
)
def test_what_cannot_begin_says_why(
    event: dict[str, Any], changed: dict[str, str], reason: str
) -> None:
    def begin() -> None:
        settings = durable.read_settings({**ENVIRONMENT, **changed})
        durable.read_request(event, settings.days)

    with pytest.raises(HandlerError, match=reason):
        begin()


def test_it_needs_no_model_and_nothing_that_runs_one() -> None:
    program = (
        "import sys, handler.durable.function; print({*sys.modules} & {'numpy', 'onnxruntime'})"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.decode().strip() == "set()"


SERVICES = (  # what Lambda and the SDK do in the role's name: no call of ours shows it
    ("logs:CreateLogStream", f"{LOGS}:log-stream:1"),
    ("logs:PutLogEvents", f"{LOGS}:log-stream:1"),
    ("xray:PutTraceSegments", "*"),
    ("xray:PutTelemetryRecords", "*"),
    ("lambda:CheckpointDurableExecution", f"{FUNCTION}-people:7/durable-execution/name/id"),
    ("lambda:GetDurableExecutionState", f"{FUNCTION}-people:7/durable-execution/name/id"),
    ("lambda:InvokeFunction", f"{FUNCTION}:live"),
    # Of an upload in parts, which takes a result of 8 MiB.
    ("s3:AbortMultipartUpload", f"arn:aws:s3:::{RESULTS}/objects/{TEXTS}/in/a.csv"),
    ("s3:AbortMultipartUpload", f"arn:aws:s3:::{RESULTS}/asked/run/review.jsonl"),
)


@pytest.mark.slow
def test_the_role_allows_what_is_called_and_nothing_else(
    s3: Any, start: Callable[..., LocalRunner]
) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0123"
    stack = Stack(read_template(ROOT / "durable.yaml"), {"Stack": STACK, "KmsKeyArn": key})
    (statements,) = read_roles(stack).values()
    keys = {f"arn:aws:s3:::{name}": key for name in (TEXTS, RESULTS)}
    for bucket in (TEXTS, RESULTS):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=TEXTS, Key="in/a.csv", Body=CSV.encode())

    run = start(environment=stack.environment, prefix="in/")
    run.label(run.wait_until_asked(), lambda row: "neg")
    done = run.finish()

    assert done["answered"] == 2
    needs = [
        Need("PeopleRole", action, resource, call.operation)
        for call in run.recorded.calls
        for action, resource in call.needs(keys)
    ]
    needs += [Need("PeopleRole", *service, "Lambda") for service in SERVICES]
    refused = [need for need in needs if not is_allowed(statements, need.action, need.resource)]
    assert refused == []
    assert find_unused(statements, needs) == set()
