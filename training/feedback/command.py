"""Feedback in, figures and rows for the next training out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.curation.tables import check_output, write_table
from training.errors import CurationError
from training.feedback.figures import measure_feedback
from training.feedback.joining import UNNAMED, Joined, Pair, Said, join_feedback
from training.feedback.texts import Texts

SHOWN_IDS = 5
COLUMNS = (*("text", "label", "predicted", "model", "version", "result_id", "index", "time"),)


@dataclass(frozen=True)
class Plan:
    """What is read and written.

    Args:
        feedback, results, texts: Files, folders and prefixes of buckets.
        out: Table of the rows for the next training; None: none is written.
        id_column, text_column: Of `texts`.
    """

    feedback: Sequence[str]
    results: Sequence[str] = ()
    texts: Sequence[str] = ()
    out: Path | None = None
    id_column: str = "id"
    text_column: str = "text"
    force: bool = False


@dataclass(frozen=True)
class Findings:
    """What came of it; holds no text.

    Args:
        feedback: That was read.
        repeated, contradicted, disagreeing, unfit: As `Joined` has them.
        unknown: Feedback of which no result is here.
        unknown_ids: Ids of the first of those.
        models: Figures by model and version.
        output: Table that was written; "" for none.
        rows: Of it.
        without_text: Feedback that is no row, because its text is not here.
        ambiguous: Ids that stand for two texts, which were left out.
    """

    feedback: int
    repeated: int
    contradicted: int
    disagreeing: int
    unfit: int
    unknown: int
    unknown_ids: list[str]
    models: list[dict[str, Any]]
    output: str = ""
    rows: int = 0
    without_text: int = 0
    ambiguous: int = 0

    def describe(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Rows:
    rows: list[dict[str, Any]] = field(default_factory=list)
    without_text: int = 0


def collect_feedback(plan: Plan) -> Findings:
    """Return how right the models were, and write rows for the next training.

    Raises:
        DataError: A place cannot be read, or holds something else.
        DeliveryError: A bucket does not answer.
        CurationError: No row has a text, or the table cannot be written.
    """
    if plan.out is not None:
        inputs = [Path(name) for name in (*plan.feedback, *plan.results, *plan.texts)]
        check_output(plan.out, plan.force, inputs)
        _check_outside(plan.out, inputs)
    joined = join_feedback(plan.feedback, plan.results)
    found: dict[str, Any] = {
        "feedback": joined.read,
        "repeated": joined.repeated,
        "contradicted": joined.contradicted,
        "disagreeing": joined.disagreeing,
        "unfit": joined.unfit,
        "unknown": len(joined.unknown),
        "unknown_ids": [said.target[0] for said in joined.unknown[:SHOWN_IDS]],
        "models": measure_feedback(joined),
    }
    if plan.out is None:
        return Findings(**found)
    texts = Texts(plan.texts, plan.id_column, plan.text_column)
    table = _make_rows(joined, texts)
    if not table.rows:
        raise CurationError(
            f"no feedback has its text in {', '.join(plan.texts)}. Texts are found by the "
            f"id that their sender gave them, or that of the result, in {plan.id_column!r}; name "
            "others with --id-column and --text-column."
        )
    write_table(plan.out, COLUMNS, table.rows, plan.force)
    return Findings(
        **found,
        output=str(plan.out),
        rows=len(table.rows),
        without_text=table.without_text,
        ambiguous=len(texts.ambiguous),
    )


def _check_outside(out: Path, inputs: Iterable[Path]) -> None:
    """Raise CurationError where the next run would read the table as an input."""
    for folder in inputs:
        if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
            raise CurationError(
                f"{out}: lies in {folder}, where it would be read the next time. Name another "
                "--out."
            )


def _make_rows(joined: Joined, texts: Texts) -> _Rows:
    """Return a row for each feedback whose text is known, by time: of a text that comes again the
    last one counts in training."""
    table = _Rows()
    for said, pair in sorted(_list_said(joined), key=lambda each: (each[0].moment, each[0].target)):
        text = texts.find(said, pair)
        if text is None:
            table.without_text += 1
        else:
            table.rows.append(_make_row(text, said, pair))
    return table


def _list_said(joined: Joined) -> Iterator[tuple[Said, Pair | None]]:
    yield from ((pair.said, pair) for pair in joined.pairs)
    yield from ((said, None) for said in joined.unknown)


def _make_row(text: str, said: Said, pair: Pair | None) -> dict[str, Any]:
    model, version = (pair.model, pair.version) if pair else (said.model, said.version)
    row = {
        "text": text,
        "label": said.label,
        "predicted": pair.answer if pair else None,
        "model": model if model != UNNAMED else None,
        "version": version if version != UNNAMED else None,
        "result_id": said.target[0],
        "index": said.target[1],
        "time": said.time or None,
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in row.items()
        if value is not None
    }
