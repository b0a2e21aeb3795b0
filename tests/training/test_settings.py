"""Settings that the user gives in place of a recipe's own."""

import pytest

from training.errors import SettingsError
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
@pytest.mark.parametrize("name", ["epochs", "batch_size", "max_length"])
def test_nothing_to_train_is_refused(name, value):
    message = f"--{name.replace('_', '-')} is {value}, wanted 1 or more."

    with pytest.raises(SettingsError, match=message):
        override(RECIPE, {name: value})
    with pytest.raises(SettingsError, match=message):
        check_given({name: value})
