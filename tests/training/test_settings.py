"""Settings that the user gives in place of a recipe's own."""

import pytest

from training.errors import SettingsError
from training.recipe_settings import describe_default, read_settings
from training.settings import Settings, check_given, override

RECIPE = Settings(recipe="stacked", epochs=8, min_steps=1500)


def test_named_epochs_are_trained_exactly():
    settings = override(RECIPE, {"epochs": 3})

    assert (settings.epochs, settings.min_steps) == (3, 0)


def test_few_rows_are_trained_longer_where_no_epochs_are_named():
    settings = override(RECIPE, {"learning_rate": 0.1})

    assert (settings.epochs, settings.min_steps, settings.learning_rate) == (8, 1500, 0.1)


def test_steps_that_are_named_beside_epochs_hold():
    assert override(RECIPE, {"epochs": 3, "min_steps": 20}).min_steps == 20


@pytest.mark.parametrize("value", [0, -2])
@pytest.mark.parametrize("name", ["epochs", "batch_size", "embedding_dim"])
def test_nothing_to_train_is_refused(name, value):
    message = f"--{name.replace('_', '-')} is {value}, wanted 1 or more."

    with pytest.raises(SettingsError, match=message):
        override(RECIPE, {name: value})
    with pytest.raises(SettingsError, match=message):
        check_given({name: value})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("max_length", 0, "1 to 65536"),
        ("vocab_size", 500_001, "1 to 500000"),
        ("seed", -1, "0 to 4294967295"),
        ("seed", 2**32, "0 to 4294967295"),
        ("dev_fraction", 0.0, "more than 0 and less than 1"),
        ("dev_fraction", 1.0, "more than 0 and less than 1"),
        ("learning_rate", 0.0, "more than 0"),
        ("learning_rate", float("nan"), "more than 0"),
        ("weight_decay", float("inf"), "0 or more"),
        ("dropout_rate", 1.0, "0 or more and less than 1"),
        ("token_dropout_rate", 1.0, "0 or more and less than 1"),
    ],
)
def test_a_value_out_of_range_is_refused(name, value, wanted):
    with pytest.raises(SettingsError, match=f"is {value}, wanted {wanted}.$"):
        check_given({name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heads": 2}, "--heads is 2, which only --encoder transformer has, not lstm."),
        (
            {"heads": 2, "encoder": "cnn"},
            "--heads is 2, which only --encoder transformer has, not cnn.",
        ),
        ({"units": (64, 32), "encoder": "none"}, "--units is 64,32, which --encoder none does not"),
        (
            {"units": (64, 50), "encoder": "transformer"},
            "--units is 50, wanted a multiple of --heads, which is 4.",
        ),
        (
            {"units": (64,), "heads": 3, "encoder": "transformer"},
            "--units is 64, wanted a multiple of --heads, which is 3.",
        ),
        ({"heads": 0, "encoder": "transformer"}, "--heads is 0, wanted 1 or more."),
    ],
)
def test_what_the_encoder_does_not_have_is_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        check_given(given)


def test_units_of_the_recipe_must_suit_the_heads_that_are_given():
    with pytest.raises(SettingsError, match="--units is 128, wanted a multiple of --heads"):
        override(RECIPE, {"encoder": "transformer", "heads": 3})


def test_the_ends_of_the_ranges_are_taken():
    check_given({"seed": 0, "dropout_rate": 0.0, "token_dropout_rate": 0.0, "weight_decay": 0.0})
    check_given({"seed": 2**32 - 1})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("epochs", "8 with wide_deep, 5 with stacked"),
        ("units", "64 with wide_deep, 128,128 with stacked"),
        ("seed", "0"),
    ],
)
def test_a_default_is_told_by_recipe_or_once(name, text):
    assert describe_default(name) == text


@pytest.mark.slow
def test_what_help_shows_is_what_the_recipes_have():
    from training.recipe import list_recipes, load_recipe

    assert list(read_settings()) == [load_recipe(name).SETTINGS for name in list_recipes()]
