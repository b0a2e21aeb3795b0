"""Files in, files with soft labels out: by commands that answer well, badly, and not at all."""

import csv
import json
import os
import sys
import threading
import time

import pyarrow
import pytest
from pyarrow import parquet

from tests.helpers.chat_server import chat_server
from training.errors import DataError, LabellingError, SettingsError
from training.labelling.chat import ChatLabeller
from training.labelling.command import CommandLabeller
from training.labelling.files import Source
from training.labelling.label import Plan, check_labels, label_file, measure_entropy
from training.labelling.labeller import BatchFailure
from training.labelling.pace import Pace
from training.rows.columns import Columns
from training.rows.readers import read_dataset

LABELS = ("pos", "neg")
TEXTS = ["a good film", "dull", "good, again", "so so", "a good film"]
SECRET = "nobody may see this"
# A labeller that writes down what it is asked: "good" is pos, "so" is unsure, "junk" is broken.
PROGRAM = """
import json, sys, pathlib
texts = [json.loads(line)["text"] for line in sys.stdin]
with open({log!r}, "a") as log:
    log.write(json.dumps(texts) + "\\n")
for text in texts:
    if "die" in text: sys.exit(3)
    if "good" in text: print(json.dumps({{"probabilities": {{"pos": 0.9, "neg": 0.1}}}}))
    elif "so" in text: print(json.dumps({{"probabilities": {{"pos": 0.5, "neg": 0.5}}}}))
    elif "junk" in text: print("<html>" + text)
    else: print(json.dumps({{"label": "neg"}}))
"""


@pytest.fixture
def program(tmp_path):
    """Return the words of the command, and a function that tells what it was asked."""
    log, path = tmp_path / "log", tmp_path / "ask.py"
    path.write_text(PROGRAM.format(log=str(log)))
    read = lambda: [json.loads(line) for line in log.read_text().splitlines()]  # noqa: E731
    return f"{sys.executable} {path}", read


def write_csv(path, texts=TEXTS):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(texts)])
    return path


def run(path, out, command, timeout_s=60.0, force=False, backoff_s=0.01, **plan):
    labeller = CommandLabeller(command, LABELS, timeout_s) if isinstance(command, str) else command
    plan = Plan(LABELS, **{"batch_size": 2, "retries": 1, **plan})
    return label_file(Source(path), out, labeller, plan, Pace(backoff_s=backoff_s), force)


def read_soft(path):
    dataset = read_dataset(path)
    return list(zip(dataset.texts, (x.probabilities for x in dataset.labels), strict=True))


SOFT = [
    ("a good film", {"pos": 0.9, "neg": 0.1}),
    ("dull", {"neg": 1.0}),
    ("good, again", {"pos": 0.9, "neg": 0.1}),
    ("so so", {"pos": 0.5, "neg": 0.5}),
    ("a good film", {"pos": 0.9, "neg": 0.1}),
]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_rows_come_out_in_order_with_probabilities_and_each_text_is_asked_once(
    concurrency, program, tmp_path
):
    command, asked = program
    out = tmp_path / "out.csv"

    summary = run(write_csv(tmp_path / "in.csv"), out, command, concurrency=concurrency)

    assert (summary.rows, summary.labelled, summary.failed, summary.asked) == (5, 5, {}, 4)
    assert read_soft(out) == SOFT
    assert sorted(asked()) == [["a good film", "dull"], ["good, again", "so so"]]
    lines = out.read_text().splitlines()
    assert lines[0] == "id,text,label,model_version"
    assert lines[1].startswith('0,a good film,"{""pos"": 0.9, ""neg"": 0.1}",command-')
    assert not list(tmp_path.glob("*.partial*"))


def test_every_format_comes_out_as_it_went_in(program, tmp_path):
    rows = [{"text": text, "n": number} for number, text in enumerate(TEXTS)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "in.json").write_text(json.dumps(rows))
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    write_csv(tmp_path / "in.csv")
    pairs = [
        ("in.jsonl", "out.jsonl.gz"),
        ("in.json", "out.json"),
        ("in.txt", "lines.jsonl"),
        ("in.parquet", "out.parquet"),
        ("in.csv", "out.csv.zst"),
    ]

    for name, out in pairs:
        run(tmp_path / name, tmp_path / out, program[0], batch_size=50)

        assert read_soft(tmp_path / out) == SOFT, out
    assert parquet.read_table(tmp_path / "out.parquet").column("n").to_pylist() == [*range(5)]
    assert isinstance(
        json.loads((tmp_path / "out.json").read_text().splitlines()[0])["label"], dict
    )


def test_a_second_run_asks_for_nothing_and_more_rows_cost_themselves_alone(program, tmp_path):
    command, asked = program
    path, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"
    run(path, out, command)
    before = out.read_bytes()

    assert run(path, out, command).asked == 0
    assert out.read_bytes() == before
    write_csv(path, ["new", *TEXTS])
    assert run(path, out, command).asked == 1

    assert asked()[2:] == [["new"]]
    assert read_soft(out) == [("new", {"neg": 1.0}), *SOFT]


def test_rows_above_an_entropy_are_left_out_and_another_limit_costs_nothing(program, tmp_path):
    command, asked = program
    path, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"

    summary = run(path, out, command, max_entropy=0.6)

    assert (summary.labelled, summary.unsure, summary.failed) == (4, 1, {})
    assert read_soft(out) == [pair for pair in SOFT if pair[0] != "so so"]
    assert run(path, out, command, max_entropy=0.1).labelled == 1
    assert run(path, out, command).labelled == 5
    assert len(asked()) == 2


def test_entropy_is_in_bits():
    assert measure_entropy((0.5, 0.5)) == 1
    assert measure_entropy((1.0, 0.0)) == 0
    assert measure_entropy((0.25,) * 4) == 2


def test_a_failed_batch_alone_is_repeated_and_its_rows_are_left_out(program, tmp_path):
    command, asked = program
    texts = ["good 1", "good 2", "die", "dull", SECRET + " junk", "good 3"]
    path, out = write_csv(tmp_path / "in.csv", texts), tmp_path / "out.csv"

    summary = run(path, out, command, retries=2)

    assert summary.failed == {
        "the command ended with exit status 3": [3, 4],
        "the answer is no JSON": [5],
    }
    assert [text for text, _ in read_soft(out)] == ["good 1", "good 2", "good 3"]
    assert asked() == [
        ["good 1", "good 2"],
        *[["die", "dull"]] * 3,
        [SECRET + " junk", "good 3"],
        *[[SECRET + " junk"]] * 2,  # the row that came is not asked for again
    ]
    assert SECRET not in (tmp_path / "out.csv.answers").read_text()
    # Another run asks for what has no answer, and may replace what the first has written.
    assert summary.num_failed == run(path, out, command, retries=0).num_failed == 3
    assert asked()[7:] == [["die", "dull"], [SECRET + " junk"]]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", "the command wrote 0 lines for a batch of 1 texts"),
        ("cat; echo {}", "the command wrote 2 lines for a batch of 1 texts"),
        ("sleep 60", "the command took more than 1 s"),
        ("sleep 60 & wait", "the command took more than 1 s"),
        ("kill -9 $$", "the command ended with signal 9"),
        ("cat", "the answer has neither label nor probabilities"),
        ("echo 3", "the answer has neither label nor probabilities"),
        ('echo \'{"label": "good"}\'', "the answer is no known label"),
        ('echo \'{"label": ["pos"]}\'', "the answer is no known label"),
        ("echo '{\"probabilities\": [1]}'", "the answer's probabilities are no object"),
        ('echo \'{"probabilities": {"good": 1}}\'', "the answer has a probability of an unknown"),
        ('echo \'{"probabilities": {"pos": 0.9}}\'', "the answer has probabilities whose sum is"),
        ('echo \'{"probabilities": {"pos": NaN}}\'', "the answer has what is no probability"),
    ],
)
def test_what_a_command_does_wrong_is_told_without_its_words(script, reason, tmp_path):
    path = write_csv(tmp_path / "in.csv", [SECRET])
    command = f'sh -c "{script.replace(chr(34), chr(92) + chr(34)).replace("$$", "$$")}"'

    with pytest.raises(LabellingError) as caught:
        run(path, tmp_path / "out.csv", command, timeout_s=1.0, retries=0)

    assert f"not written. 1 row has no label: {reason}" in str(caught.value)
    assert "(row 1)" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_output_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("training.labelling.command.REPLY_BYTES", 1 << 16)

    with pytest.raises(BatchFailure, match="wrote more than 65536 bytes"):
        CommandLabeller("yes", LABELS, 60).ask(["x"])


def test_a_command_that_reads_nothing_may_answer_all_the_same(tmp_path):
    labeller = CommandLabeller('echo \'{"label": "pos"}\'', LABELS, 60)

    assert labeller.ask(["x" * (1 << 20)]) == [(1.0, 0.0)]


@pytest.mark.parametrize("command", ["", "'", "no-such-command-anywhere", "/"])
def test_a_command_that_is_none_ends_the_run_at_once(command, tmp_path):
    with pytest.raises(LabellingError, match="^--with: "):
        run(write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", command)

    assert not (tmp_path / "out.csv").exists()


def test_a_labeller_that_fails_on_everything_is_given_up(tmp_path):
    path = write_csv(tmp_path / "in.csv", [f"{SECRET} {number}" for number in range(100)])

    with pytest.raises(LabellingError) as caught:
        run(path, tmp_path / "out.csv", "false", batch_size=1, retries=0)

    assert str(caught.value).startswith(
        "10 batches in sequence failed, the last because the command ended with exit status 1. "
    )


def test_texts_that_are_none_are_told_and_not_asked_for(program, tmp_path):
    command, asked = program
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"text": "good"}\n{"text": null}\n{"text": " "}\nbroken\n{"text": "\\ud800"}\n'
    )

    summary = run(path, tmp_path / "out.jsonl", command)

    assert summary.failed == {
        "it has no text": [2],
        "its text is empty": [3],
        "it is not JSON": [4],
        "its text is not Unicode": [5],
    }
    assert asked() == [["good"]]


def test_agreement_is_measured_on_the_rows_that_people_labelled(program, tmp_path):
    command, asked = program
    hand = tmp_path / "hand.csv"
    hand.write_text("text,label\na good film,pos\ndull,neg\nso so,neg\nelsewhere,neg\n")
    agree = (hand, Columns())

    summary = run(write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", command, agree=agree)

    agreement = summary.agreement
    assert (agreement["rows"], agreement["of_rows"]) == (3, 4)
    assert agreement["accuracy"] == pytest.approx(2 / 3)  # of equal ones the first label is taken
    assert agreement["log_loss"] == pytest.approx((0.10536 + 0 + 0.69315) / 3, abs=1e-4)
    assert sum(asked(), []) == ["a good film", "dull", "good, again", "so so"]


def test_hand_labels_that_are_not_in_the_list_are_told_before_anything_is_asked(program, tmp_path):
    hand = tmp_path / "hand.csv"
    hand.write_text("text,label\ndull,bad\n")

    with pytest.raises(DataError, match=r"hand\.csv: row 1 has a label that .* 'pos', 'neg'"):
        run(write_csv(tmp_path / "in.csv"), tmp_path / "o.csv", program[0], agree=(hand, Columns()))

    assert not (tmp_path / "log").exists()


def test_nothing_of_the_users_is_replaced_without_force(program, tmp_path):
    command, _ = program
    path, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"
    out.write_text("mine")

    with pytest.raises(LabellingError, match="exists already. Name another --out; --force"):
        run(path, out, command)
    assert (out.read_text(), sorted(p.name for p in tmp_path.glob("out*"))) == ("mine", ["out.csv"])
    run(path, out, command, force=True)
    out.write_text("edited")
    with pytest.raises(LabellingError, match="exists already"):
        run(path, out, command)
    assert out.read_text() == "edited"
    with pytest.raises(LabellingError, match="would overwrite the input"):
        run(path, path, command, force=True)


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("in.csv", "out.jsonl", r"another format than rows of in\.csv .* ends in \.csv"),
        ("in.txt", "out.txt", r"ends in \.jsonl"),
        ("in.csv", "out.odd", "does not end in one of"),
        ("in.odd", "out.csv", "does not end in one of"),
    ],
)
def test_a_name_of_another_format_is_refused(name, out, message, tmp_path):
    with pytest.raises(DataError, match=message):
        run(write_csv(tmp_path / name), tmp_path / out, "true")


def test_a_file_without_the_column_or_not_there_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,words\n1,b\n")

    with pytest.raises(DataError, match="no column 'text'; .* Name it with --text-column"):
        run(tmp_path / "a.csv", tmp_path / "out.csv", "true")
    with pytest.raises(OSError, match="No such file"):
        run(tmp_path / "b.csv", tmp_path / "out.csv", "true")
    with pytest.raises(DataError, match="is a folder"):
        run(tmp_path, tmp_path / "out.csv", "true")
    assert sorted(os.listdir(tmp_path)) == ["a.csv"]


def test_answers_of_another_command_are_not_mixed_in(program, tmp_path):
    path, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"
    run(path, out, program[0])

    with pytest.raises(LabellingError, match="another labeller, which were paid for"):
        run(path, out, "cat", force=True)


def test_two_runs_at_once_are_refused(program, tmp_path):
    from handler.files import holding

    out = tmp_path / "out.csv"
    with holding(tmp_path / "out.csv.partial", out), pytest.raises(OSError, match="at work on it"):
        run(write_csv(tmp_path / "in.csv"), out, program[0])


@pytest.mark.parametrize("labels", [["pos"], ["pos", "pos"], ["pos", "a\nb"], ["pos", ""]])
def test_labels_that_nothing_can_be_trained_with_are_refused(labels):
    with pytest.raises(SettingsError, match=r"^--labels"):
        check_labels(labels)


def make_chat(server, timeout_s=10.0):
    return ChatLabeller(server.url, "tiny", LABELS, timeout_s)


def test_a_server_is_asked_again_after_failures_and_when_it_said(tmp_path):
    faults = [
        (429, b"", {"Retry-After": "0.4"}),
        (500, b"", {}),
        "cut",
        (200, b"junk", {}),
        "reset",
    ]
    with chat_server() as server:
        well, left = server.answer, [*faults]
        server.answer = lambda text, document: left.pop(0) if left else well(text, document)

        summary = run(
            *(write_csv(tmp_path / "in.csv", TEXTS[:2]), tmp_path / "out.csv", make_chat(server)),
            batch_size=1,
            retries=6,
        )

    assert (summary.labelled, summary.failed) == (2, {})
    assert server.asked == ["a good film"] * 6 + ["dull"]
    assert server.times[1] - server.times[0] >= 0.39


def test_a_wait_that_is_too_long_ends_the_run(tmp_path):
    with chat_server() as server:
        server.answer = lambda text, document: (503, b"", {"Retry-After": "86400"})
        with pytest.raises(LabellingError, match="asks for a wait of 86,400 s. The answers so far"):
            run(write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", make_chat(server))


def test_requests_go_out_at_once_and_no_more_than_so_many(tmp_path):
    ready = threading.Barrier(3, timeout=20)
    with chat_server() as server:
        well = server.answer
        server.answer = lambda text, document: (ready.wait(), well(text, document))[1]
        path = write_csv(tmp_path / "in.csv", [f"good {number}" for number in range(9)])

        summary = run(path, tmp_path / "o.csv", make_chat(server), batch_size=1, concurrency=3)

    assert (summary.labelled, server.most_open) == (9, 3)


def test_a_rate_is_kept_by_all_threads(tmp_path):
    with chat_server() as server:
        path = write_csv(tmp_path / "in.csv", [f"good {number}" for number in range(6)])
        plan = Plan(LABELS, batch_size=1, concurrency=4)

        label_file(Source(path), tmp_path / "o.csv", make_chat(server), plan, Pace(1200))

    assert server.times[-1] - server.times[0] >= 5 * 60 / 1200 * 0.9  # the server's clock is late


def test_a_wrong_key_ends_the_run_and_keeps_what_came(tmp_path):
    with chat_server() as server:
        well = server.answer
        denied = (401, {"error": {"code": "invalid_api_key"}}, {})
        server.answer = lambda text, document: denied if text == "dull" else well(text, document)
        path, out = write_csv(tmp_path / "in.csv"), tmp_path / "out.csv"

        with pytest.raises(LabellingError, match="401 invalid_api_key: is the key"):
            run(path, out, make_chat(server), batch_size=1)
        server.answer = well
        summary = run(path, out, make_chat(server), batch_size=1)

    assert (server.asked.count("a good film"), summary.asked, summary.labelled) == (1, 3, 5)


def test_a_text_that_is_refused_for_good_is_not_asked_for_again(tmp_path):
    with chat_server() as server:
        well = server.answer
        refused = (400, {"error": {"code": "content_policy"}}, {})
        server.answer = lambda text, document: refused if text == "dull" else well(text, document)

        summary = run(
            *(write_csv(tmp_path / "in.csv"), tmp_path / "out.csv", make_chat(server)),
            batch_size=1,
            retries=3,
        )

    assert summary.failed == {"the server refuses the text (400 content_policy)": [2]}
    assert server.asked.count("dull") == 4  # with fewer fields each time, and never again


def test_failures_between_answers_are_no_reason_to_give_up(program, tmp_path):
    texts = [f"{'good' if number % 2 else 'die'} {number}" for number in range(24)]

    summary = run(
        *(write_csv(tmp_path / "in.csv", texts), tmp_path / "out.csv", program[0]),
        batch_size=1,
        retries=0,
    )

    assert (summary.labelled, summary.num_failed) == (12, 12)


def test_a_labeller_that_dies_on_the_way_is_given_up_and_what_came_is_kept(program, tmp_path):
    texts = [f"{'good' if number < 3 else 'die'} {number}" for number in range(40)]
    path, out = write_csv(tmp_path / "in.csv", texts), tmp_path / "out.csv"

    with pytest.raises(LabellingError, match="10 batches in sequence failed"):
        run(path, out, program[0], batch_size=1, retries=0)

    assert not out.exists()
    assert len((tmp_path / "out.csv.answers").read_text().splitlines()) == 4
    assert len(program[1]()) == 13


def test_no_wait_follows_the_last_try(tmp_path):
    started = time.monotonic()

    with pytest.raises(LabellingError):
        run(write_csv(tmp_path / "in.csv"), tmp_path / "o.csv", "false", retries=0, backoff_s=1000)

    assert time.monotonic() - started < 25  # each wait would be 30 s or more


def test_a_file_that_came_into_the_way_meanwhile_is_not_replaced(tmp_path):
    out = tmp_path / "out.csv"
    command = f'sh -c \'echo mine > {out}; echo {{\\"label\\":\\"pos\\"}}\''

    with pytest.raises(LabellingError, match="exists already"):
        run(write_csv(tmp_path / "in.csv", ["x"]), out, command)

    assert out.read_text() == "mine\n"
    assert run(tmp_path / "in.csv", out, command, force=True).asked == 0
