"""A durable function: scores a prefix, waits for people on the rows without an answer, goes on.

    {"prefix": "2026/reviews/", "days": 7}
    list -> score each object (the function's own work) -> collect its rows without an answer
         -> ask, and wait for a callback -> check people's labels -> fill them in -> report

It holds no model: the function scores, each object in an invocation of its own, while this one is
suspended and costs nothing. Every step may run twice and does the same; what is done is written
down, and never done again. Checkpoints hold keys and counts, and never a text.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import cache, partial
from typing import Any
from urllib.parse import quote_plus

from aws_durable_execution_sdk_python import DurableContext, durable_execution

from handler.aws import make_client
from handler.durable.answers import Places, check_labels, join_parts, put, read_answers
from handler.durable.checkpoints import (
    FAILURES,
    create_callback,
    invoke,
    map_items,
    poll,
    run_step,
    wait_for,
)
from handler.durable.listing import list_objects, stands
from handler.durable.request import Request, Settings, read_request, read_settings
from handler.durable.withheld import collect_rows, fill_in
from handler.errors import SettingsError
from handler.events.work import ObjectRef

# An execution has 3,000 operations at most. An object takes nine where all goes wrong that may
# pass: three invocations with waits between, a wait for its continuation and one more invocation,
# and the steps that collect its rows and fill them in.
MAX_OBJECTS = 300
MAX_ROUNDS = 5  # of labels that are not as they should be
COMMAND = "aws lambda send-durable-execution-callback-success --callback-id"
Outcome = dict[str, Any]  # of an object: key, status, and what else is known of it


def answer(event: object, context: DurableContext) -> dict[str, Any]:
    """Return what became of an execution: counts, and where its report stands.

    Raises:
        HandlerError, StepError, InvokeError: It cannot begin, or what all else rests on failed.
    """
    settings = read_settings(os.environ)
    return _Run(context, settings, read_request(event, settings.days)).run()


handler = durable_execution(answer)


@cache
def _s3() -> Any:
    return make_client("s3")


class _Run:
    """One execution, from its first line on at every replay."""

    def __init__(self, context: DurableContext, settings: Settings, request: Request) -> None:
        self.context = context
        self.settings = settings
        self.request = request
        arn = context.execution_context.durable_execution_arn
        self.run_id = hashlib.sha256(arn.encode()).hexdigest()[:32]
        self.places = Places(settings.review.name, f"{settings.review.path}{self.run_id}/")

    def run(self) -> dict[str, Any]:
        ready = invoke(self.context, "model", self.settings.function, {"warmup": True})
        if not isinstance(ready, dict) or not isinstance(task := ready.get("task"), dict):
            raise SettingsError(
                f"MINNOW_FUNCTION {self.settings.function} does not say what its model's task is: "
                "wanted the function of template.yaml, of this version or a later one"
            )
        self.may_abstain = "abstain" in task or "scope" in task
        outcomes, after = self._score_all()
        asked = [number for number, one in enumerate(outcomes) if one.get("rows")]
        checked: dict[str, Any] = {"answered": {}, "problems": 0}
        if asked:
            run_step(self.context, "join", join_parts, _s3(), self.places, asked)
            checked = self._ask(asked, sum(outcomes[number]["rows"] for number in asked), task)
            outcomes = self._fill_in_all(outcomes, checked["answered"])
        told = {"model": ready["model"], "prefix": self.request.prefix, "next": after}
        return self._report({**told, "problems": checked["problems"]}, outcomes)

    def _score_all(self) -> tuple[list[Outcome], str | None]:
        """Return what became of each object, and the key to go on from; None where all are done."""
        outcomes: list[Outcome] = []
        source, after, more = self.settings.source, self.request.after, True
        while more and len(outcomes) < MAX_OBJECTS:
            first = len(outcomes)
            place = (source.name, f"{source.path}{self.request.prefix}", after, MAX_OBJECTS - first)
            page = run_step(self.context, f"list {first}", list_objects, _s3(), *place)
            items = [{"number": number, **one} for number, one in enumerate(page["objects"], first)]
            outcomes += map_items(self.context, f"score {first}", self._score, items)
            if self.may_abstain:
                outcomes = self._collect_all(outcomes, first)
            after, more = page["after"], page["more"]
        return outcomes, after if more else None

    def _score(self, context: DurableContext, item: dict[str, Any], _: int, __: object) -> Outcome:
        key = {"key": item["key"]}
        try:
            return {**key, **self._score_object(context, item, item["number"])}
        except FAILURES as error:
            return {**key, "status": "failed", "reason": error.message}

    def _score_object(
        self, context: DurableContext, item: dict[str, str], number: int
    ) -> dict[str, Any]:
        """Return the function's answer for one object, as if S3 had sent it."""
        entry = {"key": quote_plus(item["key"]), "eTag": item["etag"]}
        s3 = {"bucket": {"name": self.settings.source.name}, "object": entry}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Durable", "s3": s3}
        call = (self.settings.function, {"Records": [record]})
        (done,) = invoke(context, f"score {number}", *call)["results"]
        if done["status"] == "continued":
            # By the function's own queue; asked meanwhile it would begin again.
            is_done = partial(stands, _s3(), _read_url(done["result"]), done["job"])
            poll(context, f"await {number}", is_done)
            (done,) = invoke(context, f"score {number} again", *call)["results"]
        found: dict[str, Any] = done
        return found

    def _collect_all(self, outcomes: list[Outcome], first: int) -> list[Outcome]:
        """Return the outcomes; from `first` on with the number of rows without an answer."""
        items = [
            {"number": number, "result": one["result"]}
            for number, one in enumerate(outcomes)
            if number >= first and one["status"] == "done"
        ]
        found = map_items(self.context, f"collect {first}", self._collect, items)
        told = {item["number"]: one for item, one in zip(items, found, strict=True)}
        return [{**one, **told.get(number, {})} for number, one in enumerate(outcomes)]

    def _collect(
        self, context: DurableContext, item: dict[str, Any], _: int, __: object
    ) -> Outcome:
        number = item["number"]
        place = (_read_url(item["result"]), self.settings.text_column, number)
        try:
            found: Outcome = run_step(
                context,
                f"collect {number}",
                *(collect_rows, _s3(), *place, self.places.part(number)),
            )
        except FAILURES as error:
            return {"status": "failed", "reason": error.message}
        return found

    def _ask(self, numbers: list[int], num_rows: int, task: dict[str, Any]) -> dict[str, Any]:
        """Ask people, again while their labels are not as they should be and there is time; return
        what `check_labels` does of those that stand in the end."""
        problems = 0
        num_rounds = min(MAX_ROUNDS, int(self.settings.days / self.request.days))
        for round_number in range(1, num_rounds + 1):
            callback = create_callback(self.context, f"labels {round_number}", self.request.days)
            note = self._describe_round(callback.callback_id, round_number, num_rows, problems)
            place = self.places.at("ask.json")
            run_step(self.context, f"ask {round_number}", put, _s3(), place, json.dumps(note))
            self.context.logger.info("asked about %d rows: %s", num_rows, self.places.url(""))
            is_answered = wait_for(callback)
            checked: dict[str, Any] = run_step(
                self.context,
                f"check {round_number}",
                *(check_labels, _s3(), self.places, task["labels"], numbers, round_number),
            )
            problems = checked["problems"]
            if not problems or not is_answered:
                break
        return checked

    def _describe_round(
        self, callback_id: str, round_number: int, num_rows: int, problems: int
    ) -> dict[str, Any]:
        note = {
            "rows": num_rows,
            "review": self.places.url("review.jsonl"),
            "labels": self.places.url("labels.jsonl"),
            "then": f"{COMMAND} {callback_id}",
            "days": self.request.days,
            "round": round_number,
        }
        if problems:
            url = self.places.url(f"problems-{round_number - 1}.jsonl")
            note |= {"problems": problems, "told": url}
        return note

    def _fill_in_all(self, outcomes: list[Outcome], answered: dict[str, int]) -> list[Outcome]:
        """Return the outcomes, with what became of people's labels."""
        items = [{"number": int(number), **outcomes[int(number)]} for number in answered]
        filled = map_items(self.context, "fill in", self._fill_in, items)
        told = {item["number"]: one for item, one in zip(items, filled, strict=True)}
        labelled = {number: answered[str(number)] for number in told}
        return [
            {**one, "labelled": labelled[number], **told[number]} if number in told else one
            for number, one in enumerate(outcomes)
        ]

    def _fill_in(
        self, context: DurableContext, item: dict[str, Any], _: int, __: object
    ) -> Outcome:
        number = item["number"]
        result = replace(_read_url(item["result"]), etag=item["etag"])
        try:
            status = run_step(context, f"fill in {number}", self._fill_in_object, result, number)
        except FAILURES as error:
            return {"labels": "failed", "reason": error.message}
        return {"labels": status}

    def _fill_in_object(self, result: ObjectRef, number: int) -> str:
        labels = read_answers(_s3(), self.places, number)
        return fill_in(_s3(), result, self.settings.text_column, labels, self.run_id)

    def _report(self, told: dict[str, Any], outcomes: list[Outcome]) -> dict[str, Any]:
        """Write the report, and return what is counted in it."""
        merged = [one for one in outcomes if one.get("labels") == "merged"]
        asked = sum(one.get("rows", 0) for one in outcomes)
        counts = {
            **told,
            "objects": len(outcomes),
            "scored": sum(one["status"] == "done" for one in outcomes),
            "failed": sum("failed" in (one["status"], one.get("labels")) for one in outcomes),
            "asked": asked,
            "answered": sum(one["labelled"] for one in merged),
            "report": self.places.url("report.json"),
        }
        content = json.dumps({**counts, "results": outcomes}, indent=1)
        run_step(self.context, "report", put, _s3(), self.places.at("report.json"), content)
        return counts


def _read_url(url: str) -> ObjectRef:
    """Return an object by its URL: "s3://BUCKET/KEY"."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return ObjectRef(bucket, key)
