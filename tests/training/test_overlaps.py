"""Rows that repeat each other share a group: equal, nearly equal, or a part of another."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.rows.overlaps import Overlaps, find_overlaps, find_repeats, group_rows
from training.rows.shingles import find_near_duplicates, split_texts

WORDS = [f"w{number}" for number in range(5000)]


def make_texts(num_texts: int, num_words: int, seed: int = 0) -> list[str]:
    order = random.Random(seed)
    return [" ".join(order.choices(WORDS, k=num_words)) for _ in range(num_texts)]


def pad(texts: list[str]) -> list[str]:
    """Return the texts and so many others that none of their groups is too large."""
    return texts + make_texts(10 * len(texts), 12, seed=1)


def find_groups(texts: list[str], groups=None) -> list[int]:
    padded = pad(texts)
    others = None if groups is None else groups + [f"own {row}" for row in range(len(padded))]
    found = group_rows(padded, others and others[: len(padded)])
    assert len(set(found[len(texts) :].tolist())) == len(padded) - len(texts)
    return found[: len(texts)].tolist()


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        (["good film", "good film", "bad film"], [0, 0, 1]),
        (["Good film!", "good  FILM", "bad film"], [0, 0, 1]),
        (["good film", "a very good film indeed", "a film"], [0, 0, 1]),
        (["a very good, long film", "good long film", "long", "good film"], [0, 0, 0, 1]),
        (["thank you", "thank you for the film", "many thank you to all of us"], [0, 0, 1]),
        (["", "", "?!", "…", "😍", "😡"], [0, 0, 1, 2, 3, 4]),
        (["这部电影非常好看", "好看", "完全不同的一句话"], [0, 0, 1]),
        (["这部 电影 非常好看", "电影非常 好看", "完全不同的一句话"], [0, 0, 1]),
        (["the good", "theatre good", "he goo"], [0, 1, 2]),
    ],
)
def test_equal_texts_and_parts_share_a_group(texts, groups):
    assert find_groups(texts) == groups


def test_long_texts_share_a_group_with_what_has_all_or_much_of_them():
    first, second, third = make_texts(3, 60)
    words = first.split()
    part = " ".join(words[20:45])
    overlap = " ".join(words[40:60] + second.split()[:10])
    quote = " ".join(words[:10] + third.split()[:50])
    changed = " ".join([*words[:30], "another", *words[31:]])

    assert find_groups([first, second, third, part, overlap, quote, changed]) == [
        0,
        1,
        2,
        0,
        0,
        2,
        0,
    ]


def test_a_part_is_found_where_its_words_are_those_of_a_form():
    form, *others = make_texts(40, 20)
    letters = [f"{other} {form} {other.replace('w', 'v')}" for other in others]
    part = " ".join(letters[7].split()[18:43])

    groups = find_groups([*letters, part])

    assert groups[-1] == groups[7]


def quote(words: list[str], start: int, num_quoted: int, others: str) -> str:
    return f"{' '.join(words[start : start + num_quoted])} {others}"


def test_near_duplicates_share_a_group_though_longer_texts_quote_both_halves():
    text, *others = make_texts(3, 24)
    words = text.split()
    texts = [text, " ".join([*words[:-1], "end"])]
    texts += [quote(words, start, 15, other) for start, other in zip((0, 8), others, strict=True)]

    assert find_groups(texts) == [0, 0, 1, 2]


def test_the_text_around_a_part_is_found_among_those_that_quote_from_it():
    part, around, *others = make_texts(18, 40)
    words = part.split()
    starts = range(0, 29, 4)
    shorter = [quote(words, start, 12, other) for start, other in zip(starts, others, strict=False)]
    longer = [f"{text} {other}" for text, other in zip(shorter, others[8:], strict=True)]

    groups = find_groups([part, f"{part} {around[:120]}", *shorter, *longer])

    assert groups[:2] == [0, 0]
    assert groups.count(0) == 2


def test_a_phrase_of_many_texts_does_not_chain_them():
    texts = [f"{text} as far as i know" for text in make_texts(200, 9)]

    groups = group_rows([*texts, "as far as i know", "as far as", "i know"])

    assert np.bincount(groups).max() == 4
    assert len(set(groups[:200].tolist())) == 200


def test_users_groups_stay_whole_and_are_joined_by_what_repeats():
    texts = ["good film", "bad film", "a good film", "none of them"]

    assert find_groups(texts, ["a", "a", "b", "c"]) == [0, 0, 0, 1]


def test_a_group_that_would_be_too_large_falls_back_to_equal_texts():
    form = " ".join(WORDS[:20])
    texts = [f"{form} {word}" for word in WORDS[20:50] for _ in range(2)] + make_texts(40, 9)

    overlaps = find_overlaps(texts)

    assert overlaps.groups.tolist() == [row // 2 for row in range(60)] + list(range(30, 70))
    assert (overlaps.num_grouped, overlaps.num_cut) == (60, 60)


def test_users_groups_that_equal_texts_would_chain_stay_as_they_are():
    texts = [text for own in make_texts(50, 9) for text in (own, "thank you")]
    users = [f"user {row // 2}" for row in range(100)]

    overlaps = find_overlaps(texts, users)

    assert overlaps.groups.tolist() == overlaps.exact_groups.tolist()
    assert overlaps.groups.tolist() == [row // 2 for row in range(100)]


@pytest.mark.parametrize("texts", [["one"], ["", ""], ["!"], ["a", "b"]])
def test_one_or_two_rows_are_no_special_case(texts):
    numbers = list(dict.fromkeys(texts))

    assert group_rows(texts).tolist() == [numbers.index(text) for text in texts]


def test_no_rows_have_no_groups():
    overlaps = find_overlaps([])

    assert overlaps.groups.tolist() == []
    assert (overlaps.near_duplicates, overlaps.num_grouped, overlaps.num_cut) == ([], 0, 0)


def count_torn(groups: list[int], sentences: list[int]) -> float:
    """Return the share of rows that are not in the group of most rows of their sentence."""
    pairs: dict[int, list[int]] = {}
    for group, sentence in zip(groups, sentences, strict=True):
        pairs.setdefault(sentence, []).append(group)
    kept = sum(max(map(found.count, found)) for found in pairs.values())
    return 1 - kept / len(groups)


def test_parts_of_sentences_stay_with_their_sentences():
    order = random.Random(0)
    texts, sentences = [], []
    for sentence, text in enumerate(make_texts(300, 20)):
        words = text.split()
        for _ in range(12):
            start = order.randrange(18)
            texts.append(" ".join(words[start : order.randint(start + 1, 20)]))
            sentences.append(sentence)
        texts.append(text)
        sentences.append(sentence)

    overlaps = find_overlaps(texts)

    # 300 sentences of 20 of 5,000 words share single words alone, which stand in one of them.
    assert count_torn(overlaps.groups.tolist(), sentences) < 0.05
    assert np.bincount(overlaps.groups).max() < 40
    assert overlaps.num_grouped == len(texts)


TEXTS = st.lists(st.lists(st.sampled_from("abcde"), max_size=30).map(" ".join), max_size=30)


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.integers(0, 2**32))
def test_every_part_has_a_text_around_it_in_its_group(texts, seed):
    order = random.Random(seed)
    for text in list(texts):
        words = text.split()
        start = order.randint(0, len(words))
        texts.append(" ".join(words[start : order.randint(start, len(words))]))
    rows = list(range(len(texts)))
    order.shuffle(rows)
    # Others, so that no group is too large.
    texts = [texts[row] for row in rows] + [f"{row}" for row in range(1000, 1000 + 10 * len(rows))]

    overlaps = find_overlaps(texts)

    assert overlaps.num_cut == 0
    check_groups(texts, overlaps)


def check_groups(texts: list[str], overlaps: Overlaps) -> None:
    groups = overlaps.groups.tolist()
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    assert list(members) == list(range(len(members)))
    for row, text in enumerate(texts):
        around = [
            other
            for other, longer in enumerate(texts)
            if other != row and text and f" {text} " in f" {longer} "
        ]
        assert not around or any(groups[other] == groups[row] for other in around)
        assert all(groups[other] == groups[row] for other in around if texts[other] == text)
    grouped = sum(len(rows) for rows in members.values() if len(rows) > 1)
    assert overlaps.num_grouped == grouped


def test_near_duplicates_are_found_where_a_script_has_no_blanks():
    texts = [
        "这部电影非常好看我很喜欢演员的表演",
        "这部电影非常好看我很喜欢演员的表演。",
        "完全不同的一句话没有共同之处吧对吗",
    ]

    rows, earlier = find_near_duplicates(split_texts(texts))

    assert (rows.tolist(), earlier.tolist()) == ([1], [0])


@pytest.mark.parametrize("texts", [["a b c", "a b d", ""], [" ".join(WORDS[:30])], []])
def test_few_and_short_texts_have_no_near_duplicates(texts):
    rows, earlier = find_near_duplicates(split_texts(texts))

    assert (rows.tolist(), earlier.tolist()) == ([], [])


@pytest.mark.parametrize("num_words", [8, 20, 60])
def test_a_text_that_stands_in_several_counts_for_all_of_them(num_words: int) -> None:
    for seed in range(20):
        (core,) = make_texts(1, num_words, seed)
        begins, ends = make_texts(8, 30, seed=seed + 100), make_texts(8, 9 + seed, seed=seed + 200)
        around = [f"{begin} {core} {end}" for begin, end in zip(begins, ends, strict=True)]
        strange = make_texts(3, 40, seed=seed + 300)

        assert find_repeats([*strange, *around], [core]).tolist() == [False] * 3 + [True] * 8
        assert find_repeats([*around[1:], core], [around[0], *strange])[-1]
