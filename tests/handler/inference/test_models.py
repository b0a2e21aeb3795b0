"""Models by name and version, in one folder or in several."""

import json
import shutil

import pytest

from handler.errors import ArtefactError, InvalidInput
from handler.inference.bundle import read_bundle
from handler.inference.loading import load_models
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.inference.prometheus import Prometheus
from handler.inference.trust import Trust
from handler.settings import Limits


def copy_bundle(tiny_bundle, folder, **fields):
    shutil.copytree(tiny_bundle, folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    copy_bundle(tiny_bundle, tmp_path / "b", name="films", version="2")
    copy_bundle(tiny_bundle, tmp_path / "a", name="films", version="1")
    copy_bundle(tiny_bundle, tmp_path / "c", name="books", version="1")
    return tmp_path


def describe(models):
    return [(model.name, model.version) for model in models]


def test_every_bundle_of_a_folder_must_be_pinned(folder):
    hashes = tuple(read_bundle(folder / name).sha256 for name in "abc")

    assert len(describe(load_models(folder, trust=Trust(hashes)))) == 3
    with pytest.raises(ArtefactError, match="c/manifest.json: sha256 is .*MINNOW_BUNDLE_SHA256"):
        load_models(folder, trust=Trust(hashes[:2]))


def test_a_bundle_is_one_model(tiny_bundle):
    models = load_models(tiny_bundle)

    assert describe(models) == [("tiny", "1")]
    assert models.find() is models.default


def test_a_folder_of_bundles_is_several_models_the_first_the_default(folder):
    models = load_models(folder)

    assert describe(models) == [("films", "1"), ("films", "2"), ("books", "1")]
    assert describe([models.default]) == [("films", "1")]


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("films", None, ("films", "1")),
        ("films", "2", ("films", "2")),
        ("books", None, ("books", "1")),
        ("books", "2", None),
        ("songs", None, None),
    ],
)
def test_models_are_found_by_name_and_version(folder, name, version, found):
    model = load_models(folder).find(name, version)

    assert found == (None if model is None else (model.name, model.version))


def test_two_bundles_of_one_name_and_version_are_refused(folder, tiny_bundle):
    copy_bundle(tiny_bundle, folder / "d", name="books", version="1")

    with pytest.raises(ArtefactError, match="two bundles are model books, version 1"):
        load_models(folder)


def test_what_a_killed_export_left_is_no_model(folder, tiny_bundle):
    copy_bundle(tiny_bundle, folder / ".c.partial", name="books", version="1")

    assert describe(load_models(folder)) == [("films", "1"), ("films", "2"), ("books", "1")]


def test_an_empty_folder_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(ArtefactError, match="manifest.json: no such file"):
        load_models(tmp_path)


def test_a_model_checks_its_limits(tiny_classifier):
    model = Model(tiny_classifier, Limits(max_texts=1))

    with pytest.raises(InvalidInput, match="texts has 2 texts, the limit is 1"):
        model.predict(["a", "b"])


def test_a_result_id_is_of_source_and_model(tiny_classifier):
    model = Model(tiny_classifier)

    assert len(model.result_id("queue", "1")) == 32
    assert model.result_id("queue", "1") == Model(tiny_classifier).result_id("queue", "1")
    assert model.result_id("queue", "1") != model.result_id("queue", "2")


def test_a_model_stands_in_the_metrics_of_its_monitor(tiny_classifier):
    prometheus = Prometheus()
    model = Model(tiny_classifier, monitor=Monitor(prometheus=prometheus))

    assert prometheus.models == [model.description]
    assert Models([model]).monitor is model.monitor
