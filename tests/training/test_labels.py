"""Labels by their own text, missing ones, and variants of one label."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pytest

from training.rows.labels import LabelProblem, find_variants, format_label, normalize_label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (" pos \n", "pos"),
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        (Decimal(1), "1"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (b"caf\xc3\xa9", "café"),
        ("none", "none"),
    ],
)
def test_a_label_is_its_own_text(value, label):
    assert format_label(value) == label


@pytest.mark.parametrize(
    "value", [None, "", "  ", math.nan, Decimal("nan"), "NaN", "nan", "N/A", "null", "None", "<NA>"]
)
def test_what_other_tools_write_for_nothing_is_missing(value):
    assert format_label(value) == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\x00b", r"does not show or reorders others \(U\+0000, at character 1\)"),
        ("two\nlines", r"does not show or reorders others \(U\+000A, at character 3\)"),
        ("a\u202eb", r"does not show or reorders others \(U\+202E, at character 1\)"),
        ("a" * 257, "has 257 characters, wanted a label of 256 at most"),
        (["a"], "is list, wanted one label"),
        ({"a": 1}, "is dict, wanted one label"),
        (math.inf, "not finite"),
    ],
)
def test_what_is_no_label_is_refused(value, message):
    with pytest.raises(LabelProblem, match=message):
        format_label(value)


@pytest.mark.parametrize(
    ("label", "form"),
    [
        ("Pos", "pos"),
        ("very  Good", "very good"),
        ("1.0", "1"),
        ("+1.50", "1.5"),
        ("-0.0", "0"),
        (".5", "0.5"),
        ("007", "007"),
        ("1.2.3", "1.2.3"),
        ("1e3", "1e3"),
        ("Straße", "strasse"),
    ],
)
def test_variants_have_one_form(label, form):
    assert normalize_label(label) == form


def test_variants_are_found_with_their_rows():
    labels = ["Pos", "pos", "neg", "pos", "1", "1.0", "", "2"]

    assert find_variants(labels) == [{"Pos": 1, "pos": 2}, {"1": 1, "1.0": 1}]
