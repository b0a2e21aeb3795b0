import pytest

import minnow
from handler.errors import ArtefactError, InvalidInput
from tests.helpers.fresh_python import run_python

HEAVY = {"numpy", "onnxruntime", "typer", "handler"}


def test_predictions_are_those_of_the_http_service(tiny_bundle):
    model = minnow.load(str(tiny_bundle))

    good, unknown = model.predict(["good film", "zebra"])

    assert good == {
        "label": "pos",
        "score": pytest.approx(0.8808, abs=1e-4),
        "scores": {"pos": pytest.approx(0.8808, abs=1e-4), "neg": pytest.approx(0.1192, abs=1e-4)},
        "truncated": False,
        "known_tokens": 2,
    }
    assert unknown["known_tokens"] == 0
    assert (model.name, model.version) == ("tiny", "1")
    assert repr(model) == "<LoadedModel 'tiny', version '1'>"


def test_there_is_no_limit_to_texts_and_none_give_none(tiny_bundle):
    model = minnow.load(tiny_bundle)

    assert len(model.predict(["good"] * 1000 + ["bad " * 20_000])) == 1001
    assert model.predict([]) == []


def test_one_text_in_place_of_texts_is_refused(tiny_bundle):
    with pytest.raises(TypeError, match=r"texts is one string, wanted .*: predict\(\[text\]\)"):
        minnow.load(tiny_bundle).predict("good film")


@pytest.mark.parametrize(
    ("text", "message"), [(7, r"texts\[1\] is .*, wanted a string"), ("\ud800", "lone surrogate")]
)
def test_a_text_that_cannot_be_read_is_named_by_its_place(text, message, tiny_bundle):
    with pytest.raises(InvalidInput, match=message):
        minnow.load(tiny_bundle).predict(["good", text])


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match=str(tmp_path)):
        minnow.load(tmp_path)


def test_importing_costs_nothing():
    code = f"import minnow, sys; print(*{HEAVY} & {{name.split('.')[0] for name in sys.modules}})"

    assert run_python(code).stdout == "\n"


def test_errors_are_caught_by_their_names_here(tiny_bundle, tmp_path):
    with pytest.raises(minnow.ArtefactError):
        minnow.load(tmp_path)
    with pytest.raises(minnow.InvalidInput):
        minnow.load(tiny_bundle).predict([7])
    with pytest.raises(AttributeError, match="module 'minnow' has no attribute 'loud'"):
        _ = minnow.loud
