"""The durable function on AWS's local runner, beside the function that scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner
from botocore.exceptions import ClientError

from handler.durable.function import handler
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from tests.helpers.aws_calls import Call
from tests.helpers.template import REGION

ENVIRONMENT = {
    "MINNOW_FUNCTION": "minnow:live",
    "MINNOW_OBJECT_SOURCE": "s3://texts/",
    "MINNOW_REVIEW": "s3://results/asked/",
}


class Recorded:
    """A client of S3; what is called of it stands in `calls`."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        operation = self.client.meta.method_to_api_mapping[name]

        def call(**parameters: Any) -> Any:
            code = ""
            try:
                return getattr(self.client, name)(**parameters)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                raise
            finally:
                self.calls.append(Call("s3", operation, parameters, code))

        return call


class LocalRunner:
    """One execution at a time; `scored` counts how often each key was sent to be scored."""

    def __init__(self, s3: Any, resources: Resources, results: str) -> None:
        # A retried invocation waits five seconds of the clock, which are nothing but time.
        Executor.RETRY_BACKOFF_SECONDS = 0
        self.s3 = s3
        self.results = results
        self.resources = resources
        self.scored: Counter[str] = Counter()
        self.runner = DurableFunctionTestRunner(handler, poll_interval=0.02, region=REGION)
        self.runner.register_function("minnow", self._score)
        self.recorded = Recorded(s3)
        self.arn = ""
        self.num_operations = 0

    def start(self, **event: Any) -> None:
        self.arn = self.runner.run_async(input=json.dumps(event))

    def wait_until_asked(self, round_number: int = 1) -> dict[str, Any]:
        """Return what people are told."""
        callback_id = self.runner.wait_for_callback(
            self.arn, name=f"labels {round_number}", timeout=120
        )
        (key,) = (key for key in self.list_keys("asked/") if key.endswith("ask.json"))
        note: dict[str, Any] = json.loads(self.read(key))
        assert note["then"].split()[-1] == callback_id
        return note

    def label(self, note: dict[str, Any], choose: Callable[[dict[str, Any]], str]) -> None:
        """Put labels where the note says, and call back."""
        rows = [json.loads(line) for line in self.read(self.name_key(note["review"])).splitlines()]
        labelled = [{"id": row["id"], "label": choose(row)} for row in rows]
        content = "".join(f"{json.dumps(row)}\n" for row in labelled)
        self.s3.put_object(
            Bucket=self.results, Key=self.name_key(note["labels"]), Body=content.encode()
        )
        self.call_back(note)

    def call_back(self, note: dict[str, Any]) -> None:
        self.runner.send_callback_success(note["then"].split()[-1])

    def finish(self) -> dict[str, Any]:
        """Return the execution's answer, and its report as `report`."""
        done = self.runner.wait_for_result(self.arn, timeout=120)
        assert done.error is None, done.error
        self.num_operations = len(done.get_all_operations())
        answer: dict[str, Any] = json.loads(str(done.result))
        answer["report"] = json.loads(self.read(self.name_key(answer["report"])))["results"]
        return answer

    def fail(self) -> str:
        """Return why the execution failed."""
        done = self.runner.wait_for_result(self.arn, timeout=120)
        return str(done.error and done.error.message)

    def read_history(self) -> str:
        """Return all that the execution wrote down, as JSON."""
        history = self.runner.get_execution_history(self.arn, include_execution_data=True)
        return json.dumps(history.to_dict(), default=str)

    def list_keys(self, prefix: str) -> list[str]:
        reply = self.s3.list_objects_v2(Bucket=self.results, Prefix=prefix)
        return [entry["Key"] for entry in reply.get("Contents", [])]

    def read(self, key: str) -> str:
        content: bytes = self.s3.get_object(Bucket=self.results, Key=key)["Body"].read()
        return content.decode()

    def name_key(self, url: str) -> str:
        """Return the key of an object in the bucket of results."""
        return url.removeprefix(f"s3://{self.results}/")

    def close(self) -> None:
        self.runner.close()

    def _score(self, event: Any, context: Any) -> Any:
        for record in event.get("Records", []):
            self.scored[record["s3"]["object"]["key"]] += 1
        return answer_event(event, context, self.resources)
