"""Accept and Accept-Encoding as RFC 9110, 12.5 has them."""

import pytest

from handler.http.negotiation import accepts_gzip, choose_type, parse_weights

JSON, CSV, PLAIN = "application/json", "text/csv", "text/plain"
OFFERED = [PLAIN, JSON, CSV]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", PLAIN),
        (" , ", PLAIN),
        ("*/*", PLAIN),
        ("*", PLAIN),
        ("text/csv;q=0, application/json", JSON),
        ("application/json, text/csv;q=0", JSON),
        ("application/*", JSON),
        ("text/*", PLAIN),
        ("text/*, text/plain;q=0", CSV),
        ("text/*;q=0.5, text/csv;q=0.4, application/json;q=0.3", PLAIN),
        ("*/*;q=0.1, text/csv;q=0.2", CSV),
        ("*/*, text/plain;q=0, text/csv;q=0.9", JSON),
        ("text/csv;q=0.3, application/json;q=0.7", JSON),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", JSON),
        ("TEXT/CSV;Q=1.000", CSV),
        ("text/csv ; charset=utf-8 ; q=0.9", CSV),
        ("application/json;charset=utf-8", JSON),
        ("text/html, image/gif, *; q=.2, */*; q=.2", PLAIN),
        ("image/png, text/csv;q=0.001", CSV),
        ("image/*", ""),
        ("text/csv;q=0", ""),
        ("*/*;q=0", ""),
        ("*/*;q=0.000, text/*;q=0.1", PLAIN),
        ("*/json", ""),
        ("text/csv;q=2", CSV),
        ("text/csv;q=nan", CSV),
        ("text/csv;q=", CSV),
    ],
)
def test_the_type_that_is_liked_best_is_chosen(accept, chosen):
    assert choose_type(accept, OFFERED) == chosen


def test_a_type_may_have_other_names():
    names = {"application/x-json": JSON}

    assert choose_type("application/x-json;q=0, */*", [JSON, CSV], names) == CSV
    assert choose_type("application/X-JSON", [CSV, JSON], names) == JSON


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("*, gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("identity, *;q=0", False),
        ("x-gzip", True),
        ("br;q=1.0, gzip;q=0.001", True),
        ("deflate", False),
    ],
)
def test_gzip_has_its_own_weight_before_the_star(accepted, is_taken):
    assert accepts_gzip(accepted) == is_taken


def test_weights_are_read_with_their_values():
    assert parse_weights("a/b;q=0.5,C;x=1;q=0,,") == [("a/b", 0.5), ("c", 0.0)]
