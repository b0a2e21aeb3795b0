"""`minnow push` and `minnow promote` killed at random moments: the repository is always readable.

The counts here are small; `make test-kills` runs 50 kills of each.
"""

import random

import pytest

from handler.repository.aliases import read_aliases
from handler.repository.publish import list_versions, read_version
from handler.repository.store import Missing
from tests.helpers.kills import IS_LONG, kill, moments, start
from tests.helpers.repositories import open_stored, say

pytestmark = pytest.mark.slow
NUM_KILLS = 50 if IS_LONG else 4
LONGEST_S = 1.5  # about what a push takes


def assert_readable(shop, place, labels):
    """Check that every version is whole or none at all, and that what is live answers."""
    for number in shop.store.list_versions("films"):
        try:
            bundle = read_version(shop.store, "films", number)
        except Missing:  # a number that a killed push took
            continue
        assert bundle.manifest.task.labels[0] in labels
    assert list(list_versions(shop.store))
    assert read_aliases(shop.store.read_aliases("films").content)["live"]
    assert say(open_stored(place).pin()) in labels


def test_a_killed_push_or_promote_leaves_a_repository_that_is_read(shop, place):
    labels = ["a", "b"]
    shop.push("films", "a", "live")
    shop.push("films", "b")
    order = random.Random(3)
    killed = {"push": 0, "promote": 0}
    for _, after_s in moments(LONGEST_S):
        if min(killed.values()) >= NUM_KILLS:
            break
        what = min(killed, key=killed.__getitem__)
        if what == "push":
            alias = ("--alias", "live") if order.random() < 0.5 else ()
            process = start("push", shop.write("b"), place, "--name", "films", *alias)
        else:
            process = start("promote", "films", order.choice([1, 2]), "--models", place)
        killed[what] += kill(process, after_s)
        assert_readable(shop, place, labels)

    shop.push("films", "c", "live")
    assert say(open_stored(place).pin()) == "c"
