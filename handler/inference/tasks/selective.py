"""Selective answers: a task that may say "I don't know", and name all labels that are likely.

Selective classification (Chow 1970; Geifman & El-Yaniv, NeurIPS 2017): a text is answered only if
its score reaches a threshold, which held-out rows told, and if it is in the model's scope. It wraps
a task and asks it; whatever it does not change is the task's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from handler.inference.checks import Check, number, record, refuse
from handler.inference.tasks.label_sets import LabelSets, read_label_sets
from handler.inference.tasks.scope import Scope, read_scope, read_share
from handler.inference.tasks.task import DEFAULT_OPTIONS, Cell, Options, OutputRow, Task, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNCERTAIN, OUT_OF_SCOPE = "uncertain", "out_of_scope"  # why a text is not answered


class Abstain(NamedTuple):
    """When a text is too uncertain for an answer.

    Args:
        accuracy: Share of the answered texts whose answer is to be right.
        min_score: The lowest score that is answered.
    """

    accuracy: float
    min_score: float


class Selective:
    """A task whose answers may be withheld.

    A row of outputs may have one value more than the task's own, the squared distance that `scope`
    measures; a row without it is in scope.

    Args:
        task: Of labels: its `cells` are the label and its score.
        abstain: None: no score is too low.
        scope: None: any text is in scope.
        label_sets: None: nobody can ask for them.
    """

    def __init__(
        self,
        task: Task,
        abstain: Abstain | None = None,
        scope: Scope | None = None,
        label_sets: LabelSets | None = None,
    ) -> None:
        self.task = task
        self.abstain = abstain
        self.scope = scope
        self.label_sets = label_sets
        self.may_abstain = abstain is not None or scope is not None
        self.kind = task.kind
        self.fields: Mapping[str, Check] = task.fields
        self.num_outputs = task.num_outputs
        self.output_scale = task.output_scale
        self.columns: Mapping[str, type] = task.columns
        self.tensors: Sequence[Tensor] = task.tensors
        if self.may_abstain:
            self.columns = {**task.columns, "abstained": str, "best_label": str}
            self.tensors = (*task.tensors, Tensor("abstained", "BOOL"), Tensor("best", "BYTES"))
        if scope is not None:
            self.tensors = (*self.tensors, Tensor("out_of_scope", "BOOL"))

    def describe(self) -> dict[str, Any]:
        described = self.task.describe()
        if self.abstain is not None:
            described["abstain"] = self.abstain._asdict()
        if self.scope is not None:
            described["scope"] = self.scope.describe()
        if self.label_sets is not None:
            described["label_sets"] = self.label_sets.describe()
        return described

    def why_abstained(self, row: OutputRow) -> str:
        """Return why a text is not answered; "" if it is."""
        if self.is_beyond(row):
            return OUT_OF_SCOPE
        if self.abstain is None:
            return ""
        _, score = self.task.cells(self._own(row))
        return UNCERTAIN if float(score) < self.abstain.min_score else ""

    def is_beyond(self, row: OutputRow) -> bool:
        """Say whether a text is out of scope."""
        if self.scope is None or len(row) == self.num_outputs:
            return False
        return row[self.num_outputs] > self.scope.max_distance

    def find_set(self, row: OutputRow, coverage: float) -> list[tuple[str, float]]:
        """Return each label of the set of that coverage with its score, the highest first."""
        if self.label_sets is None:
            return []
        threshold = self.label_sets.find_threshold(coverage)
        return [pair for pair in self.task.rank(self._own(row)) if pair[1] >= threshold]

    def find_flaw(self, row: OutputRow) -> str:
        return self.task.find_flaw(row)

    def answer(self, row: OutputRow, options: Options = DEFAULT_OPTIONS) -> dict[str, Any]:
        """Return the task's own answer; where it is withheld `label` is None, and `best` has what
        it would have been. `set` where a coverage is asked for."""
        answer = self.task.answer(self._own(row), options)
        if self.may_abstain:
            is_withheld = bool(self.why_abstained(row))
            best = answer.pop("label")
            answer = {"label": None if is_withheld else best, "best": best, **answer}
            answer["abstained"] = is_withheld
            if self.scope is not None:
                answer["out_of_scope"] = self.is_beyond(row)
        if options.coverage is not None:
            answer["set"] = [label for label, _ in self.find_set(row, options.coverage)]
        return answer

    def describe_answer(self) -> dict[str, Any]:
        described = self.task.describe_answer()
        if not self.may_abstain:
            return described
        label = described.pop("label")
        withheld = {"anyOf": [label, {"type": "null"}], "description": "null: no answer."}
        described = {"label": withheld, "best": label, **described}
        described["abstained"] = {
            "type": "boolean",
            "description": "The text is too uncertain or out of scope: best may be wrong.",
        }
        if self.scope is not None:
            described["out_of_scope"] = {
                "type": "boolean",
                "description": "The text is unlike those that the model was measured on.",
            }
        return described

    def cells(self, row: OutputRow) -> tuple[Cell, ...]:
        best, score = self.task.cells(self._own(row))
        if not self.may_abstain:
            return best, score
        why = self.why_abstained(row)
        return "" if why else best, score, why, best

    def rank(self, row: OutputRow) -> list[tuple[str, float]]:
        """Return the task's own ranking; nothing of a text that is not answered."""
        return [] if self.why_abstained(row) else self.task.rank(self._own(row))

    def raw_score(self, score: float) -> float:
        return self.task.raw_score(score)

    def tensor_values(self, name: str, row: OutputRow) -> Sequence[Cell | bool]:
        if not self.may_abstain:
            return self.task.tensor_values(name, self._own(row))
        label, _, why, best = self.cells(row)
        values: dict[str, Sequence[Cell | bool]] = {
            "label": (label,),
            "best": (best,),
            "abstained": (bool(why),),
            "out_of_scope": (self.is_beyond(row),),
        }
        return values.get(name) or self.task.tensor_values(name, self._own(row))

    def predicted_labels(self, row: OutputRow) -> Sequence[str]:
        return () if self.why_abstained(row) else self.task.predicted_labels(self._own(row))

    def explained_output(self, row: OutputRow) -> int:
        return self.task.explained_output(self._own(row))

    def same_answers(
        self, left: NDArray[np.floating[Any]], right: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        return self.task.same_answers(left, right)

    def margins(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        return self.task.margins(outputs)

    def _own(self, row: OutputRow) -> OutputRow:
        """Return the task's own outputs."""
        return row[: self.num_outputs]


def describe_briefly(task: Task) -> dict[str, Any]:
    """Return what people and clients may want to know of a task: what it describes, without the
    information of each word."""
    described = task.describe()
    if isinstance(task, Selective) and task.scope is not None:
        described["scope"] = {
            name: value for name, value in described["scope"].items() if name != "information"
        }
    return described


def _read_abstain(value: Any, field: str) -> Abstain:
    found = Abstain(**record({"accuracy": read_share, "min_score": number})(value, field))
    if not 0 <= found.min_score <= 1:
        refuse(f"{field}.min_score", found.min_score, "a score from 0 to 1")
    return found


# Fields of a task that may be withheld, beside its own; none has to be there.
SELECTIVE_FIELDS: Mapping[str, Check] = {
    "abstain": _read_abstain,
    "scope": read_scope,
    "label_sets": read_label_sets,
}
