import json

import pytest

from training.errors import SettingsError
from training.streaming.team import read_team

CONFIG = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def test_workers_are_named_by_options_or_by_tf_config():
    assert read_team("a:1, b:2", 1, {}) == (["a:1", "b:2"], 1)
    assert read_team(None, None, {"TF_CONFIG": json.dumps(CONFIG)}) == (["a:1", "b:2"], 1)
    assert read_team(None, None, {}) == ([], 0)


@pytest.mark.parametrize(
    ("workers", "number", "config", "message"),
    [
        ("a:1,b", 0, "", "--workers has 'b', wanted HOST:PORT of each worker"),
        ("a:1,b:99999", 0, "", "--workers has 'b:99999'"),
        ("a:1,a:1", 0, "", "--workers names one address twice"),
        ("a:1,b:2", None, "", "--worker is not given, wanted which of --workers"),
        ("a:1,b:2", 2, "", "--worker is 2, wanted which of --workers this one is, 0 to 1"),
        (None, 1, "", "--worker is 1, of which --workers"),
        (None, None, "{", "TF_CONFIG: is no cluster of workers alone"),
        (None, None, json.dumps(CONFIG | {"task": {"type": "ps", "index": 0}}), "TF_CONFIG: is no"),
        (None, None, json.dumps({"cluster": {"worker": ["a:1"]}}), "TF_CONFIG: is no cluster"),
    ],
)
def test_what_is_no_team_is_refused(workers, number, config, message):
    with pytest.raises(SettingsError, match=message):
        read_team(workers, number, {"TF_CONFIG": config})
