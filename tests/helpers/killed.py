"""Training that is killed on the way."""

import pytest

from training.fitting import fit


class Killed(BaseException):
    """Stands for a kill: no handler of Exception may see it."""


def kill_after_batches(monkeypatch: pytest.MonkeyPatch, num_batches: int) -> None:
    """Write a checkpoint after every batch, and raise Killed right after number `num_batches`."""
    save = fit.save_checkpoint
    saved = []

    def save_and_kill(path, model, progress):
        save(path, model, progress)
        saved.append(progress.batch)
        if len(saved) == num_batches:
            raise Killed

    monkeypatch.setattr(fit, "CHECKPOINT_INTERVAL_S", -1.0)
    monkeypatch.setattr(fit, "save_checkpoint", save_and_kill)
