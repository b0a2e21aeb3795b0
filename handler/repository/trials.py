"""What is tried beside the aliases of a model: canaries and shadows.

A request's id alone decides, so that the same id is answered by the same version in every process:
the first six bytes of the sha256 of "NAME ID" are a number from 0 to below 1. The lowest ones are
the canary's, the highest ones the shadow's: a larger share takes more requests, and loses none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from handler.errors import HandlerError
from handler.inference.models import LIVE, Model
from handler.repository.aliases import CANARY, SHADOW, Alias, Trial
from handler.repository.memory import Memory

DRAWN_BYTES = 6  # which a float holds exactly
Shadows = dict[tuple[str, str], Trial]  # name and version that answered -> what it is compared with


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
        shadows: Of all models, kept up to date.
        complain: Takes what is wrong with a version.

    Attributes:
        canaries: Alias -> version that answers some of its requests.
    """

    def __init__(
        self,
        name: str,
        memory: Memory,
        serving: Mapping[str, int],
        shadows: Shadows,
        complain: Callable[[str], None],
    ) -> None:
        self.canaries: dict[str, Trial] = {}
        self._name = name
        self._memory = memory
        self._serving = serving
        self._shadowing: dict[str, Trial] = {}
        self._shadows = shadows
        self._complain = complain

    def choose(self, alias: str, request_id: str) -> int:
        """Return the canary's version if it answers a request; 0: it does not."""
        canary = self.canaries.get(alias)
        if canary is None or not request_id:
            return 0
        return canary.version if is_drawn(self._name, request_id, canary.share) else 0

    def prepare(self, alias: str, meant: Alias | None) -> None:
        """Load and check what is to be tried beside an alias; what must not serve is not tried."""
        for kind, ready in ((CANARY, self.canaries), (SHADOW, self._shadowing)):
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
            self.canaries.pop(alias, None)
            return None

    def list_versions(self) -> set[int]:
        """Return the versions that are tried."""
        return {trial.version for trial in (*self.canaries.values(), *self._shadowing.values())}

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
        aliases = sorted(self._shadowing, key=lambda alias: (alias == LIVE, alias))
        meant = {(self._name, str(self._serving[a])): self._shadowing[a] for a in aliases}
        for key in list(self._shadows):
            if key[0] == self._name and key not in meant:
                self._shadows.pop(key, None)
        self._shadows.update(meant)
