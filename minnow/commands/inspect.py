"""`minnow inspect`: what a bundle is made of."""

from __future__ import annotations

import json

from minnow.options import BundleArgument, Json

PANEL = "Model"
EXAMPLES = ("minnow inspect bundles/reviews",)


def inspect(bundle: BundleArgument = None, json_output: Json = False) -> None:
    """Show where a bundle's bytes and milliseconds are."""
    from export.inspection import format_inspection, inspect_bundle
    from handler.inference.bundle import read_bundle
    from handler.inference.classifier import load_classifier
    from handler.settings import DEFAULT_BUNDLE, read_trust

    folder = bundle or DEFAULT_BUNDLE
    load_classifier(folder, trust=read_trust())  # what must not serve is not measured either
    found = inspect_bundle(read_bundle(folder))
    print(json.dumps(found, ensure_ascii=False) if json_output else format_inspection(found))
