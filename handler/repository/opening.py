"""The models that a process serves, as its settings say: of bundles, or of a repository."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from handler.errors import SettingsError
from handler.inference.classifier import CPU
from handler.inference.loading import load_models
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.repository.settings import RepositorySettings
from handler.settings import Settings


def open_models(
    settings: Settings, monitor: Monitor | None = None, providers: Sequence[str] = CPU
) -> Models:
    """Return the models, the default one loaded and checked.

    Raises:
        ArtefactError: A bundle must not serve, or there is none.
        DeliveryError: The repository cannot be reached.
    """
    if settings.repository is None:
        return load_models(
            settings.bundle,
            settings.limits,
            monitor,
            settings.threads,
            providers,
            settings.trust,
        )
    return _open_repository(settings, settings.repository, monitor or Monitor(), providers)


def _open_repository(
    settings: Settings, chosen: RepositorySettings, monitor: Monitor, providers: Sequence[str]
) -> Models:
    # Not for a bundle: a process that serves one starts as quickly as ever.
    from importlib.util import find_spec

    from handler.inference.classifier import open_classifier
    from handler.repository.models import StoredModels
    from handler.repository.places import open_store
    from handler.repository.publish import read_version

    place = chosen.place
    if "://" in place and find_spec("boto3") is None:
        raise SettingsError(
            f"MINNOW_MODELS is {place!r}, which boto3 reads, and that is not installed here, as in "
            "Minnow's containers: install it, or mount the repository as a folder"
        )
    store = open_store(place, is_serving=True)
    loading = threading.Lock()  # bounds on memory are the whole process's

    def load(name: str, version: int) -> Model:
        bundle = read_version(store, name, version, settings.trust)
        with loading:
            classifier = open_classifier(bundle, settings.threads, providers, is_alone=False)
        return Model(classifier, settings.limits, monitor)

    return StoredModels(store, chosen, load, monitor)
