import random
from collections import Counter

from training.streaming.word_counts import WordCounts


def test_words_that_fit_are_counted():
    counts = WordCounts(10)

    for words in (["a", "b", "a"], ["b"], []):
        counts.add(words)

    assert (counts.counts, counts.missed) == ({"a": 2, "b": 2}, 0)


def test_of_more_words_than_fit_no_count_is_too_high_or_lower_than_told():
    order = random.Random(0)
    words = [f"w{int(order.paretovariate(0.7))}" for _ in range(20_000)]
    true = Counter(words)
    parts = [WordCounts(200), WordCounts(200)]
    for start in range(0, len(words), 10):
        parts[start // 10 % 2].add(words[start : start + 10])
        assert all(len(part.counts) <= 200 for part in parts)

    parts[0].merge(parts[1].counts, parts[1].missed)

    found, missed = parts[0].counts, parts[0].missed
    assert len(true) > 400
    assert 0 < missed < 200
    assert all(true[word] - missed <= found[word] <= true[word] for word in true)
    assert [word for word, _ in found.most_common(5)] == [word for word, _ in true.most_common(5)]
