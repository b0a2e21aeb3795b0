"""The page of a model of several labels, in a real browser."""

import pytest

from handler.inference.classifier import load_classifier
from tests.handler.http.test_pages import chromium, classify, find, open_page, wait  # noqa: F401
from tests.helpers.http_service import Server, make_service
from tests.helpers.multi_label import copy_bundle

pytestmark = pytest.mark.slow


def test_all_labels_over_their_thresholds_are_shown(chromium, tiny_bundle, tmp_path):  # noqa: F811
    bundle = copy_bundle(tiny_bundle, tmp_path / "tiny")
    with Server(make_service(load_classifier(bundle))) as server:
        page = open_page(chromium, server.url + "/")
        wait(page, lambda: find(page, "#card dd"))
        classify(page, "a good film")
        both = find(page, "#winner")[0].text, len(find(page, ".score.best"))
        classify(page, "bad bad bad")
        wait(page, lambda: find(page, "#winner")[0].text == "neg")
        one = len(find(page, ".score.best"))
        about = [term.text for term in find(page, "#card dd")]

    assert both == ("pos, neg", 2)
    assert one == 1
    assert "pos, neg" in about
