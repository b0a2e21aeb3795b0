import shlex
from dataclasses import replace

import pytest

from minnow.group import make_group
from minnow.tune.candidates import (
    AIMS,
    FILES,
    Look,
    is_felt,
    list_levers,
    look_at,
    make_settings,
    propose,
    write_command,
)
from minnow.tune.costs import guess_cost
from minnow.tune.held_out import list_options
from minnow.tune.journal import name_choices
from training.recipe_settings import read_settings
from training.rows.columns import Columns
from training.rows.data import Sources, read_sources
from training.settings import ENCODERS

LOOK = Look(5000, 6, 40, 300, 20_000, True, True, FILES)
KINDS = ("single-label", "multi-label", "regression", "ordinal")


def every_lever() -> list[dict]:
    few = replace(LOOK, rows=100, is_spaced=False)
    looks = (LOOK, few, replace(LOOK, num_labels=77, files=()))
    found = [
        lever
        for look in looks
        for kind in KINDS
        for metric in ("macro_f1", "accuracy")
        for is_over in (True, False)
        for lever in list_levers(look, kind, metric, is_over)
    ]
    return list({name_choices(lever): dict(lever) for lever in found}.values())


@pytest.mark.parametrize("lever", every_lever(), ids=name_choices)
def test_every_candidate_has_settings_and_a_command_of_minnow_train(lever):
    settings = make_settings(lever, seed=3)
    given = ["a.csv", "--word-vectors", "v.txt", "--unlabelled", "u.csv"]

    command = shlex.split(write_command(lever, given, 3, "out"))

    assert settings.seed == 3
    assert guess_cost(lever, 5000) > 0
    params = {param.opts[0] for param in make_group().get_command(None, "train").params}
    assert {word for word in command if word.startswith("--")} <= params
    for name in lever.keys() - {*AIMS, *FILES}:
        value = lever[name]
        assert getattr(settings, name) == (tuple(value) if isinstance(value, list) else value)
    assert all((f"--{name.replace('_', '-')}" in command) is (name not in lever) for name in FILES)


def test_every_encoder_is_tried():
    encoders = {lever.get("encoder") for lever in list_levers(LOOK, KINDS[0], "accuracy", False)}

    assert encoders - {None} == set(ENCODERS) - {read_settings()[0].encoder}


def test_few_rows_have_no_candidate_of_the_half_that_is_left_out():
    levers = list_levers(replace(LOOK, rows=200), "single-label", "accuracy", False)

    assert not {"encoder", "embedding_dim", "epochs"} & {
        name for lever in levers for name in lever if "recipe" not in lever
    }


def test_class_weights_are_tried_where_labels_count_the_same():
    def names(metric, look=LOOK):
        return {name for lever in list_levers(look, KINDS[0], metric, False) for name in lever}

    assert {"class_weight", "decide"} <= names("macro_f1")
    assert not set(AIMS) & names("accuracy")
    assert not set(AIMS) & names("macro_f1", replace(LOOK, is_uneven=False))


def test_what_the_user_gave_is_not_tried_a_second_time():
    levers = list_levers(replace(LOOK, aims=("class_weight",)), KINDS[0], "macro_f1", False)

    assert {name for lever in levers for name in lever if name in AIMS} == {"decide"}


@pytest.mark.parametrize(
    ("choices", "felt"),
    [
        ({"epochs": 16, "min_steps": 3000}, [6000, 20_000]),
        ({"epochs": 4, "min_steps": 750}, [6000, 20_000]),
        ({"epochs": 16, "min_steps": 3000, "dropout_rate": 0.3}, [6000, 20_000]),
        ({"vocab_size": 8_000}, [1500, 6000, 20_000]),
        ({"vocab_size": 50_000}, [6000, 20_000]),
        ({"dropout_rate": 0.3}, [1500, 6000, 20_000]),
    ],
)
def test_changes_are_felt_from_so_many_rows_on(choices, felt):
    look = replace(LOOK, rows=20_000)  # 20,000 words of 2,000 texts

    assert [rows for rows in (1500, 6000, 20_000) if is_felt(look, choices, rows)] == felt


def test_candidates_are_proposed_once_each_the_default_first():
    levers = list_levers(LOOK, "single-label", "accuracy", False)
    gains = {name_choices(lever): 0.01 * index for index, lever in enumerate(levers)}

    names = [name_choices(choices) for choices in propose(levers, gains, levers[1])]

    assert names[0] == "default"
    assert len({*names}) >= len(levers) + 10
    assert not any("encoder=none" in name and "units" in name for name in names)


def test_rows_are_looked_at(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"一只猫坐在垫子上,{'pos' if row % 4 else 'neg'}" for row in range(40)]
    path.write_text("\n".join(["text,label", *rows]), "utf-8")

    look = look_at(read_sources(Sources(path)))

    assert look == Look(40, 2, 8, 8, 8, False, True, ())


def test_options_of_the_data_are_typed_again(tmp_path):
    columns = Columns("body", "kind", "film", weight="w", normalize_labels=True)
    sources = Sources(
        tmp_path / "a b.csv",
        test=tmp_path / "t.csv",
        columns=columns,
        task={"kind": "single-label"},
        aims={"class_weight": {"a": 1.0, "b": 2.0}},
    )

    words = list_options(sources)

    assert words == [
        str(tmp_path / "a b.csv"),
        *("--test", str(tmp_path / "t.csv"), "--text-column", "body", "--label-column", "kind"),
        *("--group-column", "film", "--weight-column", "w", "--normalize-labels"),
        *("--task", "single-label", "--class-weight", '{"a": 1.0, "b": 2.0}'),
    ]
