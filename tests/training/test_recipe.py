"""The list of recipes, what each must hold, and the stages that it leaves."""

import inspect

import numpy as np
import pytest

from training.errors import SettingsError
from training.recipe import Recipe, list_recipes, load_recipe
from training.recipe_settings import DEFAULT_RECIPE
from training.resuming.stages import Stages


def test_folder_is_the_list_with_the_default_first():
    first, *others = list_recipes()

    assert first == DEFAULT_RECIPE == "wide_deep"
    assert "stacked" in others
    assert others == sorted(others)


def test_unknown_recipe_is_refused():
    with pytest.raises(SettingsError) as caught:
        load_recipe("seed")

    assert str(caught.value) == f"there is no recipe 'seed', wanted {', '.join(list_recipes())}."


@pytest.mark.slow
@pytest.mark.parametrize("name", list_recipes())
def test_recipe_holds_what_the_interface_names(name):
    recipe = load_recipe(name)

    functions = [key for key, value in vars(Recipe).items() if inspect.isfunction(value)]
    for function in (key for key in functions if not key.startswith("_")):
        wanted = list(inspect.signature(getattr(Recipe, function)).parameters)[1:]
        assert list(inspect.signature(getattr(recipe, function)).parameters) == wanted
    assert all(hasattr(recipe, attribute) for attribute in Recipe.__annotations__)
    assert recipe.SETTINGS.recipe == recipe.QUICK.recipe == name


def test_stage_is_computed_once_and_kept(tmp_path):
    stages = Stages(tmp_path / "stages")
    calls = []

    def compute():
        calls.append(1)
        return {"values": np.arange(3, dtype=np.int32), "one": np.float32(2)}

    first, again = stages.make("numbers", compute), stages.make("numbers", compute)

    assert calls == [1]
    np.testing.assert_array_equal(again["values"], [0, 1, 2])
    assert first["values"].dtype == again["values"].dtype == np.int32
    assert [path.name for path in stages.folder.iterdir()] == ["numbers.npz"]


def test_stage_that_fails_leaves_nothing(tmp_path):
    stages = Stages(tmp_path)

    with pytest.raises(ZeroDivisionError):
        stages.make("numbers", lambda: {"value": np.array(1 // 0)})

    assert list(tmp_path.iterdir()) == []


def test_stages_are_removed_with_their_folder(tmp_path):
    stages = Stages(tmp_path / "stages")
    stages.make("numbers", lambda: {"value": np.ones(1)})

    stages.remove()

    assert not stages.folder.exists()
