"""Feedback on answers of a repository: checked by the model of the name as it serves now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handler.errors import InvalidInput
from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.http.service import Service
from tests.helpers.aws import receive_all
from tests.helpers.http_service import caller
from tests.helpers.repositories import Shop, make_settings, open_stored

ON = {"MINNOW_FEEDBACK": "sqs://feedback"}


@pytest.fixture
def queue(aws: Callable[[str], Any]) -> str:
    url: str = aws("sqs").create_queue(QueueName="feedback")["QueueUrl"]
    return url


def test_the_label_is_checked_by_the_model_that_is_named(
    aws: Callable[[str], Any], queue: str, shop: Shop
) -> None:
    shop.push("films", "old", alias="live")
    shop.push("films", "new", alias="live")
    shop.push("mails", "spam", alias="live")
    models, settings = open_stored(shop.store.place), make_settings(shop.store.place, **ON)
    call = caller(Service(models, settings))

    def say(label: str, **more: Any) -> Any:
        return call("POST", "/feedback", {"result_id": "a", "label": label, **more})

    assert say("spam", model="mails").status == 202  # not loaded so far
    assert say("new", model="films", version="1").status == 202
    assert say("old", model="films", version="1").status == 422
    assert say("old", model="films", version="1", new_label=True).status == 202
    assert say("spam", model="films").json["field"] == "label"
    assert say("spam", model="gone").json["detail"] == "model: there is no such model here"
    unnamed = say("spam")
    assert (unnamed.status, unnamed.json["field"]) == (422, "model")
    kept = [(one["label"], one["model"]) for one in receive_all(aws("sqs"), queue)]
    assert sorted(kept) == [("new", "films"), ("old", "films"), ("spam", "mails")]

    resources = Resources(models, settings.events)
    event = {"result_id": "a", "label": "spam"}
    assert "feedback_id" in answer_event({**event, "model": "mails"}, None, resources)
    for more in ({}, {"model": "gone"}, {"model": "films"}):
        with pytest.raises(InvalidInput):
            answer_event({**event, **more}, None, resources)


def test_one_request_names_sixteen_models_at_most(queue: str, shop: Shop) -> None:
    for number in range(17):
        shop.push(f"m{number}", "a", alias="live")
    settings = make_settings(shop.store.place, **ON)
    call = caller(Service(open_stored(shop.store.place), settings))
    entries = [{"result_id": "a", "label": "a", "model": f"m{number}"} for number in range(17)]

    assert call("POST", "/feedback", entries[:16]).json == {"accepted": 16}
    refused = call("POST", "/feedback", entries)
    assert refused.status == 422
    assert refused.json["detail"].startswith("the request names more than 16 models")


def test_a_model_that_cannot_be_loaded_is_a_503(queue: str, shop: Shop) -> None:
    shop.push("films", "a", alias="live")
    shop.push("mails", "b", alias="live")
    broken = shop.push_broken("mails")
    shop.store.change_aliases("mails", lambda content: content.replace(b": 1", b": %d" % broken, 1))
    settings = make_settings(shop.store.place, **ON)
    call = caller(Service(open_stored(shop.store.place, MINNOW_MODEL="films"), settings))

    answer = call("POST", "/feedback", {"result_id": "a", "label": "b", "model": "mails"})

    assert answer.status == 503
    assert answer.json["detail"] == "the model cannot be loaded now; the log says why"
    assert call("POST", "/feedback", {"result_id": "a", "label": "a"}).status == 202
