"""Feedback joined with results: figures, what is counted, and rows for the next training."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import CurationError, DataError
from training.feedback.command import Plan, collect_feedback
from training.feedback.documents import read_documents
from training.feedback.figures import find_shift, format_figures, measure_feedback
from training.feedback.joining import join_feedback
from training.rows.data import Sources, read_sources

MODEL = {"name": "films", "version": "3", "sha256": "0" * 64}


def say(result_id: str, label: Any, time: int = 0, **more: Any) -> dict[str, Any]:
    """Return a feedback as the service keeps it."""
    kept = {"feedback_id": f"{result_id}{label}{time}", "result_id": result_id, "index": 0}
    return kept | {"label": label, "source": "http", "time": f"2026-07-20T08:00:{time:02}Z", **more}


def tell(result_id: str, *answers: Any, **more: Any) -> dict[str, Any]:
    """Return a result as a sink gets it."""
    predictions = []
    for answer in answers:
        name = {list: "labels", float: "value"}.get(type(answer), "label")
        predictions.append({name: answer, "truncated": False})
    made = {"result_id": result_id, "id": f"id-{result_id}", "source": "queue", "model": MODEL}
    return {**made, "predictions": predictions, **more}


def write(path: Path, *documents: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)


def test_accuracy_by_model_and_version_with_its_interval(tmp_path: Path) -> None:
    other = MODEL | {"version": "4"}
    results = [tell(f"r{number}", "pos" if number % 2 else "neg") for number in range(20)]
    results += [tell("s", "pos", model=other)]
    feedback = [say(f"r{number}", "pos") for number in range(8)] + [say("s", "pos")]
    plan = Plan(
        [write(tmp_path / "said.jsonl", *feedback)], [write(tmp_path / "told.jsonl", *results)]
    )

    third, fourth = collect_feedback(plan).models

    assert (third["model"], third["version"], fourth["version"]) == ("films", "3", "4")
    assert (third["accuracy"], third["right"], third["rows"]) == (0.5, 4, 8)
    assert third["accuracy_interval"] == pytest.approx([0.2152, 0.7848], abs=1e-4)  # Wilson
    assert (third["feedback"], third["results"]) == (8, 20)
    assert third["labels"]["pos"]["recall"] == 0.5
    assert third["labels"]["pos"]["precision"] == 1.0
    assert third["labels"]["neg"]["recall"] is None
    assert fourth["accuracy"] == 1.0
    assert format_figures(third)[:2] == [
        "films, version 3",
        "  accuracy  0.5000 (95 %: 0.2152 to 0.7848), 4 of 8 right",
    ]
    assert "  feedback on 8 of 20 texts (40.0%)" in format_figures(third)


def test_what_is_said_twice_counts_once_and_the_last_of_different_things(tmp_path: Path) -> None:
    feedback = [say("a", "pos", 5), say("a", "neg", 9), say("a", "pos", 1), say("a", "neg", 9)]
    results = [write(tmp_path / "told.jsonl", tell("a", "neg"), tell("a", "neg"))]
    found = []
    for name, order in (("one", feedback), ("two", feedback[::-1])):
        found.append(collect_feedback(Plan([write(tmp_path / f"{name}.jsonl", *order)], results)))

    assert found[0] == found[1]
    assert (found[0].feedback, found[0].repeated, found[0].contradicted) == (4, 2, 1)
    assert (found[0].models[0]["right"], found[0].models[0]["rows"]) == (1, 1)


def test_who_corrects_what_was_said_need_not_say_again_what_was_answered(tmp_path: Path) -> None:
    told = {"predicted": "pos", "model": "films", "version": "3"}
    said = write(tmp_path / "a.json", say("a", "pos", 1, **told), say("a", "neg", 2))

    (figures,) = collect_feedback(Plan([said])).models

    assert (figures["model"], figures["right"], figures["rows"]) == ("films", 0, 1)


def test_unknown_results_are_counted_and_named_but_for_those_that_say_the_answer(
    tmp_path: Path,
) -> None:
    feedback = [
        say("gone", "pos"),
        say("a", "pos", index=1),
        say("own", "neg", predicted="pos", model="films", version="3"),
        say("known", "pos", predicted="pos"),
        say("number", 3.5),
    ]
    results = [tell("a", "pos"), tell("known", "neg"), tell("number", "pos")]
    plan = Plan([write(tmp_path / "a.json", *feedback)], [write(tmp_path / "b.json", *results)])

    found = collect_feedback(plan)

    assert (found.unknown, found.unknown_ids) == (2, ["a", "gone"])
    assert (found.disagreeing, found.unfit) == (1, 1)
    (figures,) = found.models
    assert (figures["right"], figures["rows"], figures["results"]) == (0, 2, 3)


def test_texts_that_the_model_did_not_answer_are_no_mistakes(tmp_path: Path) -> None:
    said = write(tmp_path / "a.json", say("a", "pos"), say("b", "pos"))
    told = write(tmp_path / "b.json", tell("a", None), tell("b", "pos"))

    (figures,) = collect_feedback(Plan([said], [told])).models

    assert (figures["unanswered"], figures["rows"], figures["accuracy"]) == (1, 1, 1.0)
    only = collect_feedback(Plan([write(tmp_path / "c.json", say("a", "pos"))], [told]))
    assert "accuracy" not in only.models[0]
    assert format_figures(only.models[0])[1] == "  not answered by the model  1"


def test_several_labels_match_exactly_or_by_micro_f1(tmp_path: Path) -> None:
    said = write(tmp_path / "a.json", say("a", ["y", "x"]), say("b", ["x"]), say("c", []))
    told = write(tmp_path / "b.json", tell("a", ["x", "y"]), tell("b", ["x", "z"]), tell("c", []))

    (figures,) = collect_feedback(Plan([said], [told])).models

    assert (figures["right"], figures["rows"]) == (2, 3)
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (3 + 4))
    assert figures["labels"]["z"]["precision"] == 0.0


def test_numbers_have_a_mean_absolute_error_with_an_interval(tmp_path: Path) -> None:
    said = write(tmp_path / "a.json", *(say(f"r{n}", n) for n in range(4)))
    told = write(tmp_path / "b.json", *(tell(f"r{n}", n + 0.5 * n) for n in range(4)))

    (figures,) = collect_feedback(Plan([said], [told])).models

    assert (figures["mae"], figures["mean_error"]) == (0.75, 0.75)
    # Of 0, 0.5, 1, 1.5: deviation 0.6455, Student's t of 3 degrees of freedom 3.1824.
    assert figures["mae_interval"] == pytest.approx([0.0, 1.7771], abs=1e-4)


def test_models_of_two_kinds_that_have_one_name_have_figures_each(tmp_path: Path) -> None:
    said = [
        say("a", "pos", predicted="pos"),
        say("b", 3, predicted=4),
        say("c", ["x"], predicted=[]),
    ]

    for number, order in enumerate((said, said[::-1])):
        found = collect_feedback(Plan([write(tmp_path / f"{number}.json", *order)])).models

        assert [figures.get("mae") for figures in found] == [1.0, None, None]
        assert [figures.get("accuracy") for figures in found] == [None, 1.0, 0.0]
        assert {(figures["model"], figures["rows"]) for figures in found} == {("unknown", 1)}


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-01-01T10:00:00+02:00", "2026-01-01T08:30:00Z"),
        ("2026-01-01T08:00:00Z", "2026-01-01T08:00:00.500Z"),
        ("2026-01-01T08:00:00", "2026-01-01T08:00:01Z"),
        ("999999999999", "1000000000000"),
        (1767254400.5, 1767254401),
        (None, "1969-07-20T00:00:00Z"),
    ],
    ids=["zones", "milliseconds", "no-zone", "sqs", "streams", "none"],
)
def test_the_last_one_is_that_by_the_clock(tmp_path: Path, first: object, last: object) -> None:
    said = [say("a", "neg", time=0) | {"time": last}, say("a", "pos", time=0) | {"time": first}]
    joined = join_feedback([write(tmp_path / "a.json", *said)], [])

    assert [one.label for one in joined.unknown] == ["neg"]


def test_a_label_that_is_named_twice_is_one_label(tmp_path: Path) -> None:
    said = write(tmp_path / "a.json", say("a", ["x", "y", "x"], predicted=["y", "x"]))

    (figures,) = collect_feedback(Plan([said])).models

    assert figures["right"] == 1


def test_answers_that_are_rare_among_all_and_frequent_with_feedback_are_told() -> None:
    told = ["neg"] * 30 + ["pos"] * 10

    assert find_shift(told, {"neg": 100, "pos": 900}) == {
        "answer": "neg",
        "share_with_feedback": 0.75,
        "share": 0.1,
    }
    assert find_shift(told, {"neg": 750, "pos": 250}) is None
    assert find_shift(["neg"], {"neg": 100, "pos": 900}) is not None
    assert find_shift(["pos"], {"neg": 100, "pos": 900}) is None


def test_documents_are_read_from_folders_packed_and_in_envelopes(tmp_path: Path) -> None:
    folder = tmp_path / "said"
    write(folder / "2" / "b.json", {"detail-type": "Minnow Feedback", "detail": say("b", "pos")})
    (folder / "c.json").write_text(json.dumps([say("c", "pos")]))
    (folder / "d.jsonl.gz").write_bytes(
        gzip.compress(json.dumps({"MessageId": "1", "Body": json.dumps(say("d", "pos"))}).encode())
    )
    (folder / "e.json").write_text(json.dumps(say("e", 1)) + json.dumps(say("f", 2)))
    item = {name: {"N": "2"} if name == "index" else {"S": str(value)} for name, value in
            say("g", "pos").items()}  # fmt: skip
    write(folder / "z.json", {"Item": item})
    (folder / "README.txt").write_text("not read")

    found = [one.document["result_id"] for one in read_documents(str(folder))]

    assert found == ["b", "c", "d", "e", "f", "g"]
    assert [one.document for one in read_documents(str(folder))][-1]["index"] == 2


def test_envelopes_in_envelopes_and_messages_as_sqs_answers_them(tmp_path: Path) -> None:
    event = {"detail-type": "Minnow Feedback", "detail": say("a", "pos")}
    messages = [{"MessageId": "1", "Body": json.dumps(each)} for each in (event, say("b", "pos"))]
    place = write(tmp_path / "a.json", {"Messages": messages})

    assert [one.document["result_id"] for one in read_documents(place)] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"result_id": "a"}', "a.json: document 1 is no feedback, wanted an object"),
        ("a.json", "[3]", "a.json: document 1 is no JSON object"),
        ("a.json", '{"result_id": "a", "label": "x"}\n{"b"', "a.json: line 2 is no JSON"),
        ("a.json", '{"result_id": "a", "label": true}', "a.json: document 1: a label is none"),
        ("a.json", '{"result_id": "a", "label": 1e999}', "a.json: document 1: a label is none"),
        ("a.json", '{"result_id": "a", "label": "x", "index": NaN}', "document 1 is no feedback"),
        ("a.json", '{"result_id": "a", "label": "x", "index": 1e99}', "document 1 is no feedback"),
        ("a.json", '{"result_id": "\\ud800", "label": "x"}', "document 1 holds a lone surrogate"),
        ("a.json", '{"result_id": "a", "label": ["\\ud800"]}', "document 1 holds a lone surrogate"),
        ("a.json", '{"Item": {"label": "x"}}', "a.json: document 1: its Item is none of a table's"),
        ("a.json", '{"Item": {"label": {"N": "x"}}}', "a.json: document 1: its Item is none"),
        ("a.json", '{"Item": {"label": {"L": 5}}}', "a.json: document 1: its Item is none"),
        ("a.json", '{"Item": {"label": {"M": 5}}}', "a.json: document 1: its Item is none"),
        ("a.csv", "a,b", "a.csv: its name says no JSON, wanted one that ends in .jsonl"),
        ("a.json", "", "there is no feedback in what was named first"),
    ],
)
def test_what_is_no_feedback_is_said_with_its_place(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(DataError, match=message):
        collect_feedback(Plan([str(tmp_path / name)]))


def test_a_place_that_is_not_there_or_holds_no_json_is_said(tmp_path: Path) -> None:
    said = write(tmp_path / "a.json", say("a", "pos"))
    (tmp_path / "empty").mkdir()

    for place, message in (("gone", "no such file"), ("empty", "no file of JSON there")):
        with pytest.raises(DataError, match=message):
            collect_feedback(Plan([said], [str(tmp_path / place)]))
    with pytest.raises(DataError, match="is no result, wanted an object"):
        collect_feedback(Plan([said], [write(tmp_path / "b.json", {"text": "a"})]))


def test_rows_have_the_texts_that_were_sent_and_train_takes_them(tmp_path: Path) -> None:
    said = write(
        tmp_path / "said.json",
        say("a", "neg", 3),
        say("b", "pos", 2, index=1),
        say("c", "new", 1, new_label=True),
        say("http", "neg", 4, predicted="pos"),
        say("lost", "pos", 5),
        say("reviewed", "neg", 6),
    )
    told = write(
        tmp_path / "told.json",
        tell("a", "pos", id="7"),
        tell("b", "pos", "neg", id="8"),
        tell("c", "pos"),
        tell("reviewed", None),
    )
    texts = write(
        tmp_path / "sent.json",
        {"id": 7.0, "text": "seven"},
        {"id": "8", "texts": ["first", "second"]},
        {"id": "id-c", "text": "third"},
        {"result_id": "reviewed-review", "reviews": [{"index": 0, "text": "unsure"}]},
    )
    table = tmp_path / "sent.csv"
    table.write_text("id,text\nhttp,asked\n")
    out = tmp_path / "feedback.jsonl"

    found = collect_feedback(Plan([said], [told], [texts, str(table)], out))

    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == [
        ("third", "new"),
        ("second", "pos"),
        ("seven", "neg"),
        ("asked", "neg"),
        ("unsure", "neg"),
    ]
    assert rows[1] == {
        "text": "second",
        "label": "pos",
        "predicted": "neg",
        "model": "films",
        "version": "3",
        "result_id": "b",
        "index": 1,
        "time": "2026-07-20T08:00:02Z",
    }
    assert (found.rows, found.without_text, found.output) == (5, 1, str(out))
    data = tmp_path / "train.csv"
    data.write_text("review,stars\nseven,pos\none,pos\ntwo,neg\nx,new\n")
    joined = read_sources(Sources(data, added=out))
    assert joined.train.labels == ["neg", "pos", "neg", "new", "new", "pos", "neg", "neg"]


def test_an_id_of_two_texts_stands_for_none_and_no_text_at_all_is_an_error(tmp_path: Path) -> None:
    said = write(tmp_path / "said.json", say("a", "pos"), say("b", "pos"))
    texts = write(tmp_path / "sent.json", {"id": "a", "text": "one"}, {"id": "a", "text": "two"})
    more = write(tmp_path / "more.json", {"id": "a", "text": "one"}, {"id": "b", "text": "b"})

    with pytest.raises(CurationError, match="no feedback has its text in"):
        collect_feedback(Plan([said], texts=[texts], out=tmp_path / "out.jsonl"))
    found = collect_feedback(Plan([said], texts=[texts, more], out=tmp_path / "out.jsonl"))

    assert (found.rows, found.ambiguous) == (1, 1)
    with pytest.raises(CurationError, match="exists already"):
        collect_feedback(Plan([said], texts=[more], out=tmp_path / "out.jsonl"))
    with pytest.raises(CurationError, match="new.jsonl: lies in .*, where it would be read"):
        collect_feedback(Plan([str(tmp_path)], texts=[more], out=tmp_path / "new.jsonl"))
    half = write(tmp_path / "half.json", {"id": "a", "text": "\ud800"})
    with pytest.raises(DataError, match="half.json: document 1 holds a lone surrogate"):
        collect_feedback(Plan([said], texts=[half], out=tmp_path / "other.jsonl"))
    table = tmp_path / "t.csv"
    table.write_text("name,text\na,b\n")
    with pytest.raises(DataError, match="no column 'id'"):
        collect_feedback(Plan([said], texts=[str(table)], out=tmp_path / "other.jsonl"))


def test_the_figures_of_what_is_joined_are_those_of_its_pairs(tmp_path: Path) -> None:
    said = write(tmp_path / "said.json", say("a", "pos", predicted="neg"))

    joined = join_feedback([said], [])

    assert [figures["model"] for figures in measure_feedback(joined)] == ["unknown"]
