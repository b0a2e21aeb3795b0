"""The evaluator of policies that the tests of the template's roles rely on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.policies import Need, find_unused, is_allowed, read_statements

OBJECTS = "arn:aws:s3:::results/objects"


def make_statements(*entries: dict[str, Any]) -> Any:
    return read_statements({"Statement": [{"Effect": "Allow", **entry} for entry in entries]})


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:DeleteObject", f"{OBJECTS}/texts/a.csv.rejected", True),
        ("s3:deleteobject", f"{OBJECTS}/texts/a b.csv.rejected", True),
        ("s3:DeleteObject", f"{OBJECTS}/texts/a.csv", False),
        ("s3:DeleteObject", "arn:aws:s3:::results/OBJECTS/a.rejected", False),
        ("s3:DeleteObjectVersion", f"{OBJECTS}/a.rejected", False),
        ("s3:DeleteObject", "*", False),
    ],
)
def test_an_action_on_a_resource_needs_a_statement_that_names_both(
    action: str, resource: str, expected: bool
) -> None:
    statements = make_statements({"Action": "s3:DeleteObject", "Resource": f"{OBJECTS}/*.rejected"})

    assert is_allowed(statements, action, resource) is expected


def test_wildcards_stand_for_any_text_and_for_one_character() -> None:
    statements = make_statements({"Action": ["s3:Get*"], "Resource": ["arn:aws:s3:::a?c/*"]})

    assert is_allowed(statements, "s3:GetObjectVersion", "arn:aws:s3:::abc/x/y")
    assert not is_allowed(statements, "s3:GetObject", "arn:aws:s3:::abbc/x")
    assert not is_allowed(statements, "s3:PutObject", "arn:aws:s3:::abc/x")


def test_nothing_is_allowed_by_no_statement() -> None:
    assert not is_allowed([], "s3:GetObject", "arn:aws:s3:::a/b")


def test_a_denial_wins_where_its_condition_holds() -> None:
    allow = {"Action": "s3:*", "Resource": "*"}
    deny = {**allow, "Effect": "Deny"}
    without_tls = {**deny, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    unless_ours = {**deny, "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}

    assert not is_allowed(make_statements(allow, deny), "s3:GetObject", "arn:aws:s3:::a/b")
    for denial in (without_tls, unless_ours):
        assert is_allowed(make_statements(allow, denial), "s3:GetObject", "arn:aws:s3:::a/b")


def test_a_condition_on_what_the_request_does_not_say_does_not_hold() -> None:
    condition = {"StringLike": {"s3:prefix": "objects/*"}}
    entry = {"Action": "s3:ListBucket", "Resource": "*", "Condition": condition}
    (statement,) = make_statements(entry)

    assert not statement.fits("s3:ListBucket", "arn:aws:s3:::a")
    assert statement.fits("s3:ListBucket", "arn:aws:s3:::a", {"s3:prefix": "objects/a"})
    assert not statement.fits("s3:ListBucket", "arn:aws:s3:::a", {"s3:prefix": "runs/a"})


@pytest.mark.parametrize(
    "entry",
    [
        {"Action": "s3:*", "NotResource": "*"},
        {"Action": "s3:*", "Resource": "arn:aws:s3:::a/${aws:username}/*"},
        {"Action": "s3:*", "Resource": "*", "Condition": {"Null": {"aws:SecureTransport": "true"}}},
    ],
)
def test_what_is_not_known_is_an_error_and_no_yes(entry: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match=r"tests/helpers/policies\.py"):
        is_allowed(make_statements(entry), "s3:GetObject", "arn:aws:s3:::a/b")


def test_an_action_or_resource_that_no_need_fits_is_unused() -> None:
    statements = make_statements(
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::a/*"]},
        {"Action": "s3:DeleteObject", "Resource": ["arn:aws:s3:::a/x/*", "arn:aws:s3:::a/y/*"]},
    )
    needs = [
        Need("Role", "s3:GetObject", "arn:aws:s3:::a/b", "a call"),
        Need("Role", "s3:PutObject", "arn:aws:s3:::other/b", "a call"),
        Need("Role", "s3:DeleteObject", "arn:aws:s3:::a/x/b", "a call"),
    ]

    assert find_unused(statements, needs) == {
        "s3:PutObject on arn:aws:s3:::a/*",
        "arn:aws:s3:::a/y/* for s3:DeleteObject",
    }
