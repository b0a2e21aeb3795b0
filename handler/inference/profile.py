"""What texts and answers are like: one histogram for each of a few features.

    label       the answer, or the first one of several
    labels      how many labels are given, of a multi-label task
    score       of the likeliest label; of a regression `value`, in standard deviations
    length      tokens that the model read
    unknown     share of them that are not in its vocabulary
    truncated   the text has more tokens than are read
    script      what most of its letters are written in

Export keeps those of rows that the model was not fitted to in the manifest, as the profile; a
process that serves keeps those of what it answers. Both count here. No histogram grows with the
number of texts, and none holds anything of a text but such numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from handler.errors import ArtefactError
from handler.inference.checks import array, number, record, show, text, told, whole
from handler.inference.tasks import MAX_LABEL_CHARACTERS, MultiLabel, Regression, Selective, Task

# What is said of a text, as `Prediction` has it: outputs, whether it was truncated, known tokens,
# tokens. Its module needs ONNX Runtime.
Said = tuple[list[float], bool, int, int]

MAX_NAMED = 40  # labels that have a bin of their own: the most frequent ones
MAX_EDGES = 64
MAX_ROWS = 10**9
# A value belongs to the first edge that it does not exceed, and behind the last one to the last
# bin. Scores are told apart where they lie closely: near 1.
SCORES = (
    *(0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    *(0.95, 0.98, 0.99, 0.995, 0.999),
)
VALUES = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
LENGTHS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 8)
FLAGS = ("no", "yes")
NO_LETTERS = "no letters"
SCRIPTS = (
    *(NO_LETTERS, "latin", "greek", "cyrillic", "hebrew", "arabic", "indic", "thai"),
    *("hangul", "kana", "han", "other"),
)
# First code point of each stretch of letters of one script, as far as people write in it.
SCRIPT_STARTS = (
    *((0x0, "latin"), (0x370, "greek"), (0x400, "cyrillic"), (0x530, "other")),
    *((0x590, "hebrew"), (0x600, "arabic"), (0x7C0, "other"), (0x860, "arabic")),
    *((0x900, "indic"), (0xE00, "thai"), (0xF00, "other"), (0x1100, "hangul")),
    *((0x1200, "other"), (0x1C80, "cyrillic"), (0x1C90, "other"), (0x1D00, "latin")),
    *((0x1F00, "greek"), (0x2000, "other"), (0x2C60, "latin"), (0x2C80, "other")),
    *((0x3040, "kana"), (0x3100, "han"), (0x3130, "hangul"), (0x3190, "han")),
    *((0x31F0, "kana"), (0x3200, "other"), (0x3400, "han"), (0xA000, "other")),
    *((0xA640, "cyrillic"), (0xA6A0, "other"), (0xA720, "latin"), (0xA800, "other")),
    *((0xA8E0, "indic"), (0xA900, "other"), (0xA960, "hangul"), (0xA980, "other")),
    *((0xAC00, "hangul"), (0xE000, "other"), (0xF900, "han"), (0xFB00, "latin")),
    *((0xFB13, "other"), (0xFB1D, "hebrew"), (0xFB50, "arabic"), (0xFF00, "latin")),
    *((0xFF66, "kana"), (0xFFA0, "hangul"), (0xFFE0, "other"), (0x20000, "han")),
    (0x32000, "other"),
)
STARTS = tuple(start for start, _ in SCRIPT_STARTS)
SAMPLE = 32  # characters that tell the script


class Bins(NamedTuple):
    """The bins of one feature: of numbers, or of names.

    Args:
        edges: Of numbers, ascending: one bin more than there are edges.
        names: Of names: two bins more than there are names, of any other one and of none.
    """

    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return len(self.names) + 2 if self.names else len(self.edges) + 1

    def describe(self) -> list[str]:
        """Return what people call each bin: "0.2 to 0.3", "over 1"."""
        if self.names:
            return [*self.names, "(other)", "(none)"]
        if not self.edges:
            return ["all"]
        first, *others = (f"{edge:g}" for edge in self.edges)
        ends = [first, *others]
        lowest = "0" if self.edges[0] == 0 else f"to {first}"  # nothing that is counted is below 0
        between = [f"{low} to {high}" for low, high in zip(ends, others, strict=False)]
        return [lowest, *between, f"over {ends[-1]}"]


class Profile(NamedTuple):
    """Histograms of rows that a model was not fitted to.

    Args:
        rows: How many.
        bins: Of each feature.
        counts: Of each feature, how many rows are in each bin.
    """

    rows: int
    bins: Mapping[str, Bins]
    counts: Mapping[str, Sequence[int]]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's field `profile`."""
        return {
            "rows": self.rows,
            "histograms": {
                name: {
                    **({"names": list(bins.names)} if bins.names else {"edges": list(bins.edges)}),
                    "counts": list(self.counts[name]),
                }
                for name, bins in self.bins.items()
            },
        }


class Histograms:
    """Counts texts and their answers; increments of a few numbers for each text.

    Args:
        task: Of the model.
        bins: Of each feature that is counted.
    """

    def __init__(self, task: Task, bins: Mapping[str, Bins]) -> None:
        self.bins = bins
        self.texts = 0
        self.counts = {name: [0] * one.size for name, one in bins.items()}
        self._task = task
        self._num_outputs = task.num_outputs
        own = task.task if isinstance(task, Selective) else task
        self._number = own if isinstance(own, Regression) else None
        names = bins["label"].names if "label" in bins else ()
        self._places = {name: place for place, name in enumerate(names)}
        # Looked up once: this is on the way of each request.
        self._edges = {name: one.edges for name, one in bins.items()}

    def count(self, seen: Iterable[tuple[int, Said]]) -> None:
        """Add texts: of each its script, as `find_script` has it, and what was said of it."""
        counts, edges = self.counts, self._edges
        lengths, shares, flags = counts["length"], counts["unknown"], counts["truncated"]
        length_edges, share_edges, places = edges["length"], edges["unknown"], counts["script"]
        for script, (outputs, is_truncated, known, length) in seen:
            self.texts += 1
            self._count_answer(outputs)
            lengths[bisect_left(length_edges, length)] += 1
            shares[bisect_left(share_edges, 1 - known / length) if length else 0] += 1
            flags[is_truncated] += 1
            places[script] += 1

    def _count_answer(self, outputs: list[float]) -> None:
        counts, edges = self.counts, self._edges
        if self._number is not None:
            task = self._number
            value = (outputs[0] - task.mean) / task.standard_deviation
            counts["value"][bisect_left(edges["value"], value)] += 1
            return
        labels = self._task.predicted_labels(outputs)
        others = len(self._places)  # behind the names: any other label, and none
        place = self._places.get(labels[0], others) if labels else others + 1
        counts["label"][place] += 1
        if "labels" in counts:
            counts["labels"][bisect_left(edges["labels"], len(labels))] += 1
        own = outputs if len(outputs) == self._num_outputs else outputs[: self._num_outputs]
        counts["score"][bisect_left(edges["score"], max(own))] += 1

    def take(self) -> Mapping[str, list[int]]:
        """Return the counts, and begin anew."""
        taken, self.counts = self.counts, {name: [0] * len(c) for name, c in self.counts.items()}
        self.texts = 0
        return taken


def find_script(content: str) -> int:
    """Return the place in `SCRIPTS` of what most letters of a text are written in; some characters
    out of all of it tell it."""
    sample = content if len(content) <= SAMPLE else content[:: len(content) // SAMPLE]
    if sample.isascii():
        return int(any(map(str.isalpha, sample)))
    letters = [letter for letter in sample if letter.isalpha()]
    if not letters:
        return 0
    if 2 * sum(map(str.isascii, letters)) > len(letters):
        return 1
    found = Counter(_find_stretch(letter) for letter in letters)
    return SCRIPTS.index(found.most_common(1)[0][0])


def _find_stretch(letter: str) -> str:
    return SCRIPT_STARTS[bisect_right(STARTS, ord(letter)) - 1][1]


def choose_bins(task: Task, labels: Iterable[str] = ()) -> dict[str, Bins]:
    """Return the bins of each feature of a task.

    Args:
        labels: Those that have a bin of their own.
    """
    own = task.task if isinstance(task, Selective) else task
    bins: dict[str, Bins] = {}
    if isinstance(own, Regression):
        bins["value"] = Bins(VALUES)
    else:
        bins["label"] = Bins(names=tuple(labels))
        if isinstance(own, MultiLabel):
            bins["labels"] = Bins(NUMBERS)
        bins["score"] = Bins(SCORES)
    return bins | {
        "length": Bins(LENGTHS),
        "unknown": Bins(SHARES),
        "truncated": Bins(names=FLAGS),
        "script": Bins(names=SCRIPTS),
    }


def make_profile(task: Task, texts: Sequence[str], predictions: Sequence[Said]) -> Profile:
    """Return the profile of rows.

    Args:
        predictions: Of each text, as a model says that was not fitted to it.
    """
    found: Counter[str] = Counter()
    for outputs, *_ in predictions:
        found.update(task.predicted_labels(outputs)[:1])
    names = [label for label, _ in found.most_common(MAX_NAMED)]
    histograms = Histograms(task, choose_bins(task, names or getattr(task, "labels", ())[:1]))
    histograms.count(zip(map(find_script, texts), predictions, strict=True))
    return Profile(histograms.texts, histograms.bins, histograms.counts)


def read_profile(value: Any, field: str) -> Profile:
    """Return the profile that a manifest describes.

    Raises:
        ArtefactError: Bins or counts that cannot be those of a profile.
    """
    fields = record({"rows": whole(1, MAX_ROWS), "histograms": told})(value, field)
    rows, histograms = fields["rows"], fields["histograms"]
    bins: dict[str, Bins] = {}
    counts: dict[str, Sequence[int]] = {}
    for name, histogram in histograms.items():
        place = f"{field}.histograms.{show(name)}"
        bins[name] = _read_bins(histogram, place)
        counts[name] = _read_counts(histogram["counts"], f"{place}.counts", bins[name].size, rows)
    return Profile(rows, bins, counts)


def check_profile(profile: Profile, task: Task, field: str = "profile") -> None:
    """Raise ArtefactError for a profile of another task's features."""
    wanted = choose_bins(task, ("",))
    if profile.bins.keys() != wanted.keys():
        found = ", ".join(map(show, profile.bins))
        raise ArtefactError(
            f"{field}.histograms are of {found}; a {task.kind} task has {', '.join(wanted)}."
        )
    for name, bins in wanted.items():
        found_bins = profile.bins[name]
        is_same_kind = bool(found_bins.names) == bool(bins.names)
        if not is_same_kind or (name in ("script", "truncated") and found_bins != bins):
            raise ArtefactError(f"{field}.histograms.{name} has bins of another feature.")


def _read_bins(value: Any, field: str) -> Bins:
    counts = array(whole(0, MAX_ROWS), MAX_EDGES + 2)
    if isinstance(value, dict) and "names" in value:
        names = array(text(MAX_LABEL_CHARACTERS), MAX_EDGES, least=1)
        return Bins(names=tuple(record({"names": names, "counts": counts})(value, field)["names"]))
    edges = array(number, MAX_EDGES, least=1)
    found = record({"edges": edges, "counts": counts})(value, field)["edges"]
    if any(first >= second for first, second in zip(found, found[1:], strict=False)):
        raise ArtefactError(f"{field}.edges do not ascend.")
    return Bins(tuple(found))


def _read_counts(value: list[int], field: str, size: int, rows: int) -> Sequence[int]:
    if len(value) != size or sum(value) != rows:
        raise ArtefactError(
            f"{field} are {len(value)} numbers that sum to {sum(value)}, wanted {size} that sum to "
            f"{rows}, the rows."
        )
    return tuple(value)
