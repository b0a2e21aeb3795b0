"""The chat API against a server on loopback that answers well, badly, late, or not at all."""

import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.helpers.chat_server import KEY, chat_server, completion, token
from training.errors import LabellingError
from training.labelling.chat import ChatLabeller, check_key, check_url
from training.labelling.labeller import BatchFailure, Problem

LABELS = ["pos", "neg"]
SECRET = "nobody may see this text"
GOOD = (200, completion("pos"), {})


@pytest.fixture
def server():
    with chat_server() as server:
        yield server


def make(server, **more):
    return ChatLabeller(server.url, "tiny", LABELS, more.pop("timeout_s", 10), **more)


def answers(server, *given):
    """Let the server answer these in order, the last for ever."""
    left = [*given]
    server.answer = lambda text, document: left.pop(0) if len(left) > 1 else left[0]


def test_a_text_is_asked_for_with_prompt_model_and_key(server):
    labeller = make(server, key=KEY)

    assert labeller.ask(["a good film", "a film"]) == [(1.0, 0.0), (0.0, 1.0)]

    assert server.paths == ["/v1/chat/completions"] * 2
    first = server.documents[0]
    assert (first["model"], first["temperature"], first["logprobs"]) == ("tiny", 0, True)
    system, user = first["messages"]
    assert '"pos", "neg"' in system["content"]
    assert user == {"role": "user", "content": "a good film"}
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(labeller.identity)


def test_a_prompt_may_hold_the_text(server):
    labeller = make(server, prompt="One of {labels}:\n{text}\nWhich?")

    labeller.ask(["good {labels} {text}"])

    (message,) = server.documents[0]["messages"]
    assert message["content"] == 'One of "pos", "neg":\ngood {labels} {text}\nWhich?'
    assert "Authorization" not in server.headers[0]


def test_log_probabilities_become_probabilities(server):
    content = [token("pos", math.log(0.6), neg=math.log(0.4))]
    answers(server, (200, completion("pos", content), {}))

    (found,) = make(server).ask(["x"])

    assert found == pytest.approx((0.6, 0.4))


@pytest.mark.parametrize("content", [None, [], [{"odd": 1}], "odd"])
def test_without_log_probabilities_the_label_is_certain(content, server):
    answers(server, (200, completion("Neg.", content), {}))

    assert make(server).ask(["x"]) == [(0.0, 1.0)]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_knows_no_log_probabilities_is_asked_without_them(status, server):
    refused = (status, {"error": {"code": "unsupported_parameter"}}, {})
    server.answer = lambda text, document: refused if "logprobs" in document else GOOD
    labeller = make(server)

    assert labeller.ask(["x"]) == [(1.0, 0.0)]
    assert labeller.ask(["y"]) == [(1.0, 0.0)]

    assert server.asked == ["x", "x", "x", "y"]  # it is remembered
    assert "logprobs" not in server.documents[-1]


def test_a_text_that_is_refused_in_every_way_is_final_and_changes_nothing(server):
    refused = (400, {"error": {"code": "context_length_exceeded", "message": SECRET}}, {})
    server.answer = lambda text, document: refused if text == "long" else GOOD
    labeller = make(server)

    (problem,) = labeller.ask(["long"])
    labeller.ask(["x"])

    reason = "the server refuses the text (400 context_length_exceeded)"
    assert problem == Problem(reason, is_final=True)
    assert server.documents[-1]["logprobs"] is True


@pytest.mark.parametrize("start", ["<think>pos or", None])
def test_a_model_that_thinks_first_gets_the_tokens_that_it_needs(start, server):
    cut = (200, completion(start, finish_reason="length"), {})
    whole = (200, completion("<think>pos or neg</think>pos"), {})
    server.answer = lambda text, document: cut if "max_tokens" in document else whole
    labeller = make(server)

    assert labeller.ask(["x"]) == [Problem("the answer is cut off")]
    assert labeller.ask(["x"]) == [(1.0, 0.0)]


def test_one_long_answer_among_others_does_not_cost_the_log_probabilities(server):
    answers(server, GOOD, (200, completion("a long", finish_reason="length"), {}), GOOD)
    labeller = make(server)

    assert labeller.ask(["x", "y", "z"])[1] == Problem("the answer is cut off")

    assert all("logprobs" in document for document in server.documents)


@pytest.mark.parametrize("answer", ["unsure", "pos neg", "", SECRET])
def test_an_answer_that_is_no_label_is_a_problem_that_does_not_quote_it(answer, server):
    answers(server, (200, completion(answer), {}))

    assert make(server).ask(["x"]) == [Problem("the answer is no known label")]


def test_an_answer_that_is_none_is_a_problem(server):
    filtered = completion("", finish_reason="content_filter")
    answers(server, (200, completion(None), {}), (200, filtered, {}))

    assert make(server).ask(["x", "y"]) == [
        Problem("the answer is no text"),
        Problem("the server's filter refuses the text", is_final=True),
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, b"", {}), "the server answered 500"),
        ((503, b"<html>", {}), "the server answered 503"),
        ((429, {"error": {"type": "rate_limit"}}, {}), "the server answered 429 rate_limit"),
        ((429, {"error": {"code": SECRET}}, {}), "the server answered 429"),
        ((200, b"{", {}), "the server's answer is no chat completion"),
        ((200, b"\xff" * 99, {}), "the server's answer is no chat completion"),
        ((200, b"[" * 100_000, {}), "the server's answer is no chat completion"),
        ((200, {"choices": []}, {}), "the server's answer is no chat completion"),
        ((200, {"choices": ["pos"]}, {}), "the server's answer is no chat completion"),
        ((200, b" " * (5 << 20), {}), "the server answered more than 4194304 bytes"),
        ("cut", "the connection failed (IncompleteRead)"),
        ("reset", "the connection failed ("),
        ("hang", "the server did not answer within 0.5 s"),
        ("drip", "the server did not answer within 0.5 s"),
    ],
)
def test_an_answer_that_is_not_whole_is_a_failure_of_the_batch(answer, reason, server):
    answers(server, answer)

    with pytest.raises(BatchFailure) as caught:
        make(server, timeout_s=0.5, key=KEY).ask([SECRET])

    assert caught.value.reason.startswith(reason)
    assert SECRET not in caught.value.reason
    assert KEY not in caught.value.reason


def test_a_server_that_is_not_there_is_a_failure_of_the_batch():
    with pytest.raises(BatchFailure, match="the server takes no connection"):
        ChatLabeller("http://127.0.0.1:1/v1", "tiny", LABELS, 1).ask(["x"])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_read(header, seconds, server):
    answers(server, (429, b"", {"Retry-After": header}))

    with pytest.raises(BatchFailure) as caught:
        make(server).ask(["x"])

    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize(("later", "seconds"), [(100, 100), (-100, 0)])
def test_retry_after_may_be_a_date(later, seconds, server):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=later), usegmt=True)
    answers(server, (429, b"", {"Retry-After": date}))

    with pytest.raises(BatchFailure) as caught:
        make(server).ask(["x"])

    assert caught.value.retry_after_s == pytest.approx(seconds, abs=30 if seconds else 0)


@pytest.mark.parametrize(
    ("status", "document", "headers", "message"),
    [
        (401, {"error": {"message": f"Incorrect API key {KEY}"}}, {}, "401: is the key"),
        (403, {"error": {"code": "no_access"}}, {}, "403 no_access: is the key"),
        (404, {"error": {"code": "model_not_found"}}, {}, "404 model_not_found: are --model and"),
        (429, {"error": {"code": "insufficient_quota"}}, {}, "nothing is left to pay"),
        (302, b"", {"Location": "/v1/elsewhere"}, "302, wanted 200"),
        (307, b"", {"Location": "/v1/elsewhere"}, "307, wanted 200"),
        (204, b"", {}, "204, wanted 200"),
    ],
)
def test_what_no_repeat_would_mend_ends_the_run(status, document, headers, message, server):
    answers(server, (status, document, headers))

    with pytest.raises(LabellingError, match=message) as caught:
        make(server, key=KEY).ask([SECRET])

    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert server.paths == ["/v1/chat/completions"]  # no redirect was followed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "ftp://host/v1",
        "http://",
        "http://h:0/v1",
        "http://h:x/",
        "http://a b/",
        "hé",
    ],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(LabellingError, match="is no URL, wanted one such as"):
        check_url(url)


@pytest.mark.parametrize(
    "url", [f"https://me:{KEY}@h/v1", f"https://h/v1?key={KEY}", "http://h/#x"]
)
def test_a_url_that_may_hold_a_key_is_refused_and_not_shown(url):
    with pytest.raises(LabellingError, match="Put a key into the environment") as caught:
        check_url(url)

    assert KEY not in str(caught.value)


def test_a_key_that_is_no_header_is_refused_and_not_shown():
    assert check_key(f"{KEY}\n", "NAME") == KEY
    for key in (f"{KEY}\r\nX: y", f"{KEY} b", f"{KEY}é"):
        with pytest.raises(LabellingError, match=r"^NAME: is no key, wanted one word of ASCII\.$"):
            check_key(key, "NAME")


def test_a_hanging_server_costs_the_timeout_and_no_more(server):
    answers(server, "hang")
    started = time.monotonic()

    with pytest.raises(BatchFailure):
        make(server, timeout_s=0.2).ask(["x"])

    assert time.monotonic() - started < 5
