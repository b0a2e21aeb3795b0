"""What the environment may set for a repository of models; `docs/models.md` has the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from handler.errors import SettingsError

DEFAULT_MB = 1000  # of a process that no platform limits
REFRESH_S = 30
MAX_REFRESH_S = 86_400
MAX_MB = 1_000_000


class RepositorySettings(NamedTuple):
    """Where models come from, and how many stay in memory.

    Args:
        place: A folder or `s3://BUCKET/PREFIX/`.
        default: The model that answers who names none; empty: the only one.
        most_mb: Of all models in memory together, in megabytes; least recently used ones are
            dropped above it. By default two thirds of a Lambda function's memory, else 1,000.
        refresh_s: A promotion takes effect within so many seconds.
        allows_control: Triton's repository extension is answered.
    """

    place: str
    default: str = ""
    most_mb: int = DEFAULT_MB
    refresh_s: int = REFRESH_S
    allows_control: bool = False


def read_repository_settings(environment: Mapping[str, str]) -> RepositorySettings | None:
    """Return the settings that `MINNOW_MODELS` and its companions ask for; None: it is not set.

    Raises:
        SettingsError: A variable cannot be used; the text has its name, its value, what was wanted.
    """
    place = environment.get("MINNOW_MODELS", "")
    if not place:
        return None
    if bundle := environment.get("MINNOW_BUNDLE"):
        raise SettingsError(
            f"MINNOW_MODELS is {place!r} and MINNOW_BUNDLE is {bundle!r}, wanted one of the two: a "
            "repository of models, or one bundle"
        )
    control = environment.get("MINNOW_MODELS_CONTROL") or "off"
    if control not in ("on", "off"):
        raise SettingsError(f"MINNOW_MODELS_CONTROL is {control[:20]!r}, wanted on or off")
    function_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    most_mb = (
        int(function_mb) * 2 // 3 if function_mb.isascii() and function_mb.isdigit() else DEFAULT_MB
    )
    return RepositorySettings(
        place,
        environment.get("MINNOW_MODEL", ""),
        _read_whole(environment, "MINNOW_MODELS_MB", most_mb, MAX_MB),
        _read_whole(environment, "MINNOW_MODELS_REFRESH_S", REFRESH_S, MAX_REFRESH_S),
        control == "on",
    )


def _read_whole(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = environment.get(name, "")
    if not value:
        return default
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(most))
    if not is_number or not 0 < int(value) <= most:
        raise SettingsError(f"{name} is {value[:20]!r}, wanted a whole number from 1 to {most}")
    return int(value)
