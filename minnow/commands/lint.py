"""`minnow lint`: labelled rows in, those whose label is likely wrong out."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated

from minnow.options import (
    Data,
    Delimiter,
    Encoding,
    GroupColumn,
    JoinSurplus,
    Json,
    LabelColumn,
    LabelColumns,
    NormalizeLabels,
    QuietReading,
    Quoting,
    ReplaceTable,
    TableOut,
    TextColumn,
    WeightColumn,
    option,
    split_names,
)

if TYPE_CHECKING:
    from training.curation.lint import Findings

PANEL = "Tools"
EXAMPLES = (
    "minnow lint reviews.csv --out suspects.csv",
    "minnow lint train.tsv --label-column stars --out suspects.tsv",
)
REQUIRED = ("scipy", "sklearn")
SHOWN_PAIRS = 10

Seed = Annotated[int, option("--seed", "N", "Seed of the folds.", min=0, max=2**31)]


def lint(
    data: Data,
    out: TableOut,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_columns: LabelColumns = None,
    group_column: GroupColumn = None,
    weight_column: WeightColumn = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quoting: Quoting = None,
    join_surplus: JoinSurplus = False,
    normalize_labels: NormalizeLabels = False,
    seed: Seed = 0,
    force: ReplaceTable = False,
    quiet: QuietReading = False,
    json_output: Json = False,
) -> None:
    """Find rows whose label is likely wrong.

    The linear half of a model is fitted several times, each time without a part of the rows, and
    says what it takes these for (confident learning). The table has the number of each suspect row
    in DATA, its label, the label that is more likely, and the probability of both, the most suspect
    first; behind them rows of the same text that have different labels.

    A suspect is to be looked at, not to be believed: some are hard, not wrong. DATA is not changed.
    """
    from minnow.extras import require

    require(*REQUIRED)
    from handler.rows.options import ReadOptions
    from training.curation.lint import lint_file
    from training.progress import quiet as hush
    from training.rows.columns import Columns
    from training.rows.data import Sources

    options = ReadOptions(delimiter, encoding, quoting, join_surplus)
    names, labels = (text_column, label_column, group_column), split_names(label_columns)
    columns = Columns(*names, options, normalize_labels, labels, weight_column)
    with hush(quiet):
        findings = lint_file(Sources(data, columns=columns), out, seed, force)
    if json_output:
        print(json.dumps(dataclasses.asdict(findings), ensure_ascii=False))
        return
    print(format_findings(findings))
    if findings.written and not quiet:
        print(f"next: look at {out}, mend {data.name}, and train again", file=sys.stderr)


def format_findings(findings: Findings) -> str:
    """Return what was found for people, without any text of the rows."""
    share = f"{100 * findings.suspected / findings.rows:.1f} %"
    lines = [
        f"{findings.output}\t{findings.rows:,} rows, {findings.suspected:,} suspected ({share})"
    ]
    lines += [
        f"{count:>8,}  {label!r}, perhaps {suggested!r}"
        for label, suggested, count in findings.pairs[:SHOWN_PAIRS]
    ]
    if rest := sum(count for *_, count in findings.pairs[SHOWN_PAIRS:]):
        lines.append(f"{rest:>8,}  of other pairs of labels")
    if findings.conflicting_texts:
        texts = "text stands" if findings.conflicting_texts == 1 else "texts stand"
        lines.append(
            f"{findings.conflicting_rows:>8,}  rows conflict: {findings.conflicting_texts:,} "
            f"{texts} there with different labels"
        )
    if findings.empty:
        lines.append(f"{findings.empty:>8,}  rows have an empty text")
    if findings.unchecked:
        lines.append(f"{findings.unchecked:>8,}  not checked: nothing unlike them has their label")
    for variants in findings.variants:
        names = ", ".join(f"{name!r} {rows:,}" for name, rows in variants.items())
        lines.append(f"labels that differ by form alone: {names} (--normalize-labels merges them)")
    return "\n".join(lines)
