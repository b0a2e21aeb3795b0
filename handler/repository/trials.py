"""What is tried beside the aliases of a model: canaries and shadows.

A request's id alone decides, so that the same id is answered by the same version in every process:
the first six bytes of the sha256 of "NAME ID" are a number from 0 to below 1. The lowest ones are
the canary's, the highest ones the shadow's: a larger share takes more requests, and loses none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from handler.errors import HandlerError
from handler.inference.models import LIVE, Model
from handler.repository.aliases import CANARY, SHADOW, Alias, Trial
from handler.repository.memory import Memory

DRAWN_BYTES = 6  # which a float holds exactly


class Tried(NamedTuple):
    """What is tried of all models.

    Args:
        canaries: Name and alias -> version that answers some of its requests.
        shadows: Name and version that answered -> what it is compared with.
    """

    canaries: dict[tuple[str, str], Trial]
    shadows: dict[tuple[str, str], Trial]


def draw(name: str, request_id: str) -> float:
    """Return a number from 0 to below 1: the same for the same model and request anywhere."""
    digest = hashlib.sha256(f"{name} {request_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:DRAWN_BYTES]) / 2.0 ** (8 * DRAWN_BYTES)


def is_drawn(name: str, request_id: str, share: float) -> bool:
    """Say whether a request is one of those that a canary answers."""
    return draw(name, request_id) < share


def is_shadowed(name: str, request_id: str, share: float) -> bool:
    """Say whether a request is one of those that a shadow runs too."""
    return draw(name, request_id) >= 1 - share


class Trials:
    """What is tried beside the aliases of one model, as far as it is loaded and checked.

    Args:
        name: Of the model.
        memory: What is loaded, of all models.
        serving: Alias -> version that answers for it.
        tried: Of all models, kept up to date.
        complain: Takes what is wrong with a version.
    """

    def __init__(
        self,
        name: str,
        memory: Memory,
        serving: Mapping[str, int],
        tried: Tried,
        complain: Callable[[str], None],
    ) -> None:
        self._name = name
        self._memory = memory
        self._serving = serving
        self._canaries: dict[str, Trial] = {}  # by alias
        self._shadows: dict[str, Trial] = {}
        self._tried = tried
        self._complain = complain

    def choose(self, alias: str, request_id: str) -> int:
        """Return the canary's version if it answers a request; 0: it does not."""
        canary = self._canaries.get(alias)
        if canary is None or not request_id:
            return 0
        return canary.version if is_drawn(self._name, request_id, canary.share) else 0

    def prepare(self, alias: str, meant: Alias | None) -> None:
        """Load and check what is to be tried beside an alias; what must not serve is not tried."""
        for kind, ready in ((CANARY, self._canaries), (SHADOW, self._shadows)):
            trial: Trial | None = getattr(meant, kind, None)
            if trial is not None and self._is_ready(alias, kind, trial, ready.get(alias)):
                ready[alias] = trial
            else:
                ready.pop(alias, None)
        self._publish()

    def fetch(self, alias: str, version: int) -> Model | None:
        """Return a canary that memory had to be freed of; None: it cannot be had any more, and the
        alias is answered by its own version until the next look."""
        try:
            return self._memory.get((self._name, version))
        except HandlerError as error:
            self._tell(alias, CANARY, version, error)
            self._canaries.pop(alias, None)
            self._publish()
            return None

    def list_versions(self) -> set[int]:
        """Return the versions that are tried."""
        trials = [
            *list(self._canaries.values()),
            *list(self._shadows.values()),
        ]  # others change them
        return {trial.version for trial in trials}

    def _is_ready(self, alias: str, kind: str, trial: Trial, before: Trial | None) -> bool:
        if trial.version == self._serving.get(alias):
            return False
        if before is not None and before.version == trial.version:
            return True  # whoever asks for it has it loaded again, if memory had to be freed of it
        try:
            self._memory.get((self._name, trial.version))
        except HandlerError as error:
            self._tell(alias, kind, trial.version, error)
            return False
        return True

    def _tell(self, alias: str, kind: str, version: int, error: HandlerError) -> None:
        self._complain(f"version {version}, the {kind} of {alias}, is not tried: {error}")

    def _publish(self) -> None:
        aliases = sorted(self._shadows, key=lambda alias: (alias == LIVE, alias))
        shadows = {str(self._serving[alias]): self._shadows[alias] for alias in aliases}
        for told, own in ((self._tried.canaries, self._canaries), (self._tried.shadows, shadows)):
            for key in list(told):
                if key[0] == self._name and key[1] not in own:
                    told.pop(key, None)
            told.update({(self._name, one): trial for one, trial in own.items()})
