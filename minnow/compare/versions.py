"""Which model and which versions are compared."""

from __future__ import annotations

from minnow.compare.logs import Evidence, Log
from minnow.errors import CommandError
from minnow.repository import open_repository

CANDIDATE = "candidate"


def find_versions(
    live: str, candidate: str, model: str | None, repository: str | None
) -> tuple[str, str, str | None]:
    """Return two versions by number, and the model's name if it is known.

    Args:
        live, candidate: Numbers, or aliases of a model in the repository.
        model: Its name; None: the only one there is.
        repository: Where it is; None: as the variable says.

    Raises:
        CommandError: An alias that there is not, or no two versions.
    """
    from handler.repository.aliases import Alias, is_version, read_aliases

    aliases: dict[str, Alias] = {}
    if not is_version(live) or not is_version(candidate):
        store = open_repository(repository)
        names = store.list_models()
        if model is None and len(names) != 1:
            listed = ", ".join(names) or "there are none"
            raise CommandError(f"which model of {store.place}? Name it by --model: {listed}")
        model = model or names[0]
        found = store.read_aliases(model)
        aliases = read_aliases(found.content if found else b"")

    def find(word: str) -> str:
        if is_version(word):
            return word
        if word in aliases:
            return str(aliases[word].version)
        raise CommandError(
            f"model {model} has no alias {word}; its aliases: {', '.join(aliases) or 'none'}"
        )

    first = find(live)
    tried = aliases[live] if live in aliases else None
    trial = (tried.canary or tried.shadow) if tried is not None else None
    if candidate == CANDIDATE and CANDIDATE not in aliases and trial is not None:
        second = str(trial.version)
    else:
        second = find(candidate)
    if first == second:
        raise CommandError(f"{live} and {candidate} are both version {first}, wanted two versions")
    return first, second, model


def choose_model(log: Log, live: str, candidate: str) -> tuple[str, Evidence]:
    """Return the only model that the log tells of, and what it tells.

    Raises:
        CommandError: There is none, or several.
    """
    if len(log.evidence) == 1:
        ((name, evidence),) = log.evidence.items()
        return name, evidence
    if log.evidence:
        raise CommandError(
            f"the log tells of several models; name one by --model: {', '.join(log.evidence)}"
        )
    broken = f", of which {log.num_broken:,} could not be read" if log.num_broken else ""
    raise CommandError(
        f"no line of the log tells of version {live} or {candidate}, of {log.num_lines:,} lines "
        f"with an object{broken}. The log of a model from a repository has its version in each line"
    )
