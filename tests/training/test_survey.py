"""What is said of the rows before training: each kind of fault once, and no user's text."""

import random
from pathlib import Path

import pytest

from training.rows.data import Sources, read_sources
from training.rows.shingles import split_texts
from training.rows.survey import Survey, find_deciding_token, find_script, survey_data

WORDS = random.Random(0)


def make_text(num_words: int = 30) -> str:
    return " ".join(
        "".join(WORDS.choices("abcdefghij", k=WORDS.randint(3, 6))) for _ in range(num_words)
    )


def survey(
    rows: list[tuple[str, str]], folder: Path, num_dev: int = 100, is_torn: bool = False, **more
) -> Survey:
    path = folder / "rows.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows))
    return survey_data(read_sources(Sources(path, **more)), num_dev, 50, is_torn)


def make_rows(num_rows: int = 60) -> list[tuple[str, str]]:
    return [(make_text(), "pos" if row % 2 else "neg") for row in range(num_rows)]


def test_clean_rows_are_counted_and_nothing_is_warned_of(tmp_path):
    found = survey(make_rows(), tmp_path)

    assert found.lines == [
        f"train: {tmp_path / 'rows.csv'}, utf-8, commas between fields, column 'text', "
        "column 'label'",
        "60 rows: Latin 100%",
        "2 labels: neg 30, pos 30",
    ]
    assert found.warnings == []


def test_every_kind_of_odd_row_is_named_by_number_and_never_by_text(tmp_path):
    rows = make_rows()
    rows += [("  ", "pos"), (rows[0][0], "neg"), (rows[1][0].upper(), "neg")]
    rows += [(rows[2][0] + " end", "neg"), (make_text(60), "pos")]

    lines = survey(rows, tmp_path).lines[3:]

    assert lines == [
        "1 empty texts (row 61)",
        "1 duplicates of an earlier text (row 62)",
        "2 near-duplicates of an earlier text (rows 63, 64)",
        "1 texts of more than 50 tokens, of which the rest is not read (row 65)",
        "6 rows nearly repeat another row or are part of one; they are kept on one side of every "
        "split",
        "2 contradictory rows: same text, other label (rows 2, 63)",
    ]
    assert not any(text in " ".join(lines) for text, _ in rows[:60])


def test_texts_that_all_have_the_greatest_length_look_cut(tmp_path):
    rows = [(text[:100], label) for text, label in make_rows()]

    assert survey(rows, tmp_path).lines[3] == (
        "60 texts of exactly 100 characters, the longest: cut by what wrote them? "
        "(rows 1, 2, 3, 4, 5, …)"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["rare"] * 3 + ["pos"] * 30 + ["neg"] * 30, "1 labels have fewer than 10 rows (rare 3)"),
        (
            ["neg"] * 30 + ["Neg"] * 20 + ["pos"] * 30,
            "labels that differ by form alone (neg 30, Neg",
        ),
        (["neg"] * 10 + ["pos"] * 190, "95.0% of the rows have the label pos: compare macro F1"),
        ([str(row // 2) for row in range(2200)], "1,100 labels: is this the right --label-col"),
    ],
)
def test_labels_that_cannot_be_learned_well_are_warned_of(labels, message, tmp_path):
    rows = [(make_text(), label) for label in labels]

    assert any(line.startswith(message) for line in survey(rows, tmp_path).warnings)


def test_few_development_rows_and_shared_texts_are_warned_of(tmp_path):
    rows = make_rows()
    test = tmp_path / "test.csv"
    test.write_text(f"text,label\n{rows[3][0]},pos\nother,neg\n")

    assert survey(rows, tmp_path, num_dev=6, test=test).warnings == [
        "1 texts of test stand in the training rows too",
        "6 development rows only: figures are rough, and so is the choice",
    ]


def test_a_token_that_tells_the_label_is_found_and_named_in_the_report_alone(tmp_path):
    rows = [(f"{text} LEAK" if label == "pos" else text, label) for text, label in make_rows()]

    found = survey(rows, tmp_path)

    assert found.token == "leak"
    assert found.warnings[0].startswith("one token tells the label of 100.0% of the rows")
    assert "leak" not in found.format().casefold()


def test_a_frequent_token_of_a_large_majority_decides_nothing():
    texts = split_texts(["good film"] * 98 + ["bad film"] * 2)

    assert find_deciding_token(texts, ["pos"] * 98 + ["neg", "pos"]) == ("", 0.0)
    assert find_deciding_token(split_texts(["", ""]), ["pos", "neg"]) == ("", 0.0)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Good!", "Latin"),
        ("Привет, мир", "Cyrillic"),
        ("สวัสดี", "Thai"),
        ("好看的电影", "Chinese characters"),
        ("10/10 🙂", "no letters"),
        ("", "no letters"),
    ],
)
def test_a_script_is_that_of_most_letters(text, script):
    assert find_script(text) == script


def test_rows_whose_groups_are_torn_or_too_large_are_told(tmp_path):
    rows = make_rows(30)
    form = make_text(20)
    rows += [(f"{form} {name}", "pos") for name in "klmnopqrstuvwxyz"]

    found = survey(rows, tmp_path, is_torn=True)

    assert found.lines[3:] == [
        "15 near-duplicates of an earlier text (rows 32, 33, 34, 35, 36, …)",
        "16 rows repeat each other in groups too large for one side of a split: development "
        "figures may read too high",
    ]
    assert found.warnings[0].startswith("no development row would be left if all rows that repeat")
