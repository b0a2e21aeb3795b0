"""Pushes and promotions killed at random moments: the repository is always readable.

The counts here are small; `make test-kills` runs 50 kills in each place.
"""

import subprocess
import sys

import pytest

from handler.inference.bundle import MissingArtefactError
from handler.repository.aliases import read_aliases
from handler.repository.publish import list_versions, read_version
from tests.helpers.kills import IS_LONG, moments
from tests.helpers.paths import ROOT
from tests.helpers.repositories import open_stored, say

pytestmark = pytest.mark.slow
NUM_KILLS = 50 if IS_LONG else 5
LONGEST_S = 0.9  # some pushes, trials and promotions
PROGRAM = """
import sys
from pathlib import Path
from handler.repository.publish import promote_version, push_bundle, try_version
from handler.repository.places import open_store

place, *bundles = sys.argv[1:]
store = open_store(place)
store.list_models()  # which imports what it needs
print("ready", flush=True)
for _ in range(1000):
    for bundle in bundles:
        pushed = push_bundle(store, Path(bundle), "films", "candidate")
        try_version(store, "films", pushed.version, "live", {"canary": 0.5, "shadow": 1.0})
        promote_version(store, "films", pushed.version, "live")
"""


def start(*arguments):
    """Start a process that pushes and promotes without end; return once it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def count_whole(shop, labels):
    """Return how many versions are whole; each of the others is none at all."""
    num_whole = 0
    for number in shop.store.list_versions("films"):
        try:
            bundle = read_version(shop.store, "films", number)
        except MissingArtefactError:  # a number that a killed push took
            continue
        assert bundle.manifest.task.labels[0] in labels
        num_whole += 1
    return num_whole


def test_a_killed_push_or_promotion_leaves_a_repository_that_is_read(shop, place):
    labels = ["a", "b"]
    shop.push("films", "a", "live")
    bundles = [shop.write(label) for label in labels]
    for number, after_s in moments(LONGEST_S):
        if number == NUM_KILLS:
            break
        process = start(place, *bundles)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()
        process.communicate()

        assert read_aliases(shop.store.read_aliases("films").content)["live"]
        assert list(list_versions(shop.store))
        assert say(open_stored(place).pin()) in labels

    assert count_whole(shop, labels) > 1  # or nothing was killed at work
    shop.push("films", "c", "live")
    assert say(open_stored(place).pin()) == "c"
