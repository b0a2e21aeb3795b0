"""What is tried: the default recipe, then one setting changed at a time, then what helped together.

A candidate is what differs from the default: options of `minnow train` by name -> value; what the
user gave there and the candidate leaves out (`word_vectors`, `unlabelled`) is False.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minnow.tune.journal import Choices, name_choices
from training.recipe_settings import DEFAULT_RECIPE, read_settings
from training.rows.data import Data
from training.settings import ENCODERS, Settings, count_epochs, override
from training.tokenizer import make_tokenizer

DEFAULT: Choices = {}
NO_ENCODER: Choices = {"encoder": "none"}
FILES = ("word_vectors", "unlabelled")  # False: those that the user gave are left out
AIMS = ("class_weight", "decide")  # what is learned, and no setting of the recipe
LOOKED_AT = 2_000  # texts whose lengths are counted
# What shapes the half that reads the order of words, and how that is fitted.
OF_ENCODER = {"embedding_dim", "units", "dropout_rate", "token_dropout_rate", "epochs", "min_steps"}
OF_ENCODER |= {"learning_rate", "weight_decay", "batch_size"}
DEEP_ROWS = 1_000  # from so many on the default recipe tries its LSTM
UNEVEN = 2.0  # times as many rows of one label as of another
MANY_LABELS = 20
LARGE_VOCABULARY = 15_000  # words, of which some may be spared
WORDS_GROWTH = 0.6  # power of the rows by which different words grow


@dataclass(frozen=True)
class Look:
    """What the training rows look like.

    Args:
        rows: How many.
        num_labels: 0 of numbers.
        typical, long: Tokens of a text, the median and that which one in twenty has more than.
        words: Different ones, of the texts that were looked at.
        is_spaced: Words stand apart by blanks.
        is_uneven: Some labels have far more rows than others.
        files, aims: Of FILES and AIMS, those that the user gave.
    """

    rows: int
    num_labels: int
    typical: int
    long: int
    words: int
    is_spaced: bool
    is_uneven: bool
    files: tuple[str, ...] = ()
    aims: tuple[str, ...] = ()

    def count_words(self, rows: int) -> float:
        """Return about how many different words so many rows have."""
        looked_at = -(-self.rows // max(1, self.rows // LOOKED_AT))
        return float(self.words * (rows / max(1, looked_at)) ** WORDS_GROWTH)


def look_at(data: Data) -> Look:
    """Return what the training rows look like, of a part of the texts."""
    texts = data.train.texts[:: max(1, len(data.train) // LOOKED_AT)]
    settings = read_settings()[0]
    tokenizer = make_tokenizer(["[PAD]", "[UNK]"], settings.max_length)
    split = [tokenizer.split(text)[0] for text in texts]
    lengths = [len(words) for words in split] or [0]
    labels = data.objective.task.describe().get("labels", ())
    counts = data.objective.encode(data.train.labels).sum(axis=0) if labels else np.ones(1)
    return Look(
        len(data.train),
        len(labels),
        int(np.median(lengths)),
        int(np.quantile(lengths, 0.95)),
        len({word for words in split for word in words}),
        sum(" " in text.strip() for text in texts) > len(texts) / 2,
        bool(counts.max() > UNEVEN * max(1.0, counts.min())),
        tuple(name for name in FILES if getattr(data, name) is not None),
        tuple(name for name in AIMS if name in data.objective.aims),
    )


def list_levers(look: Look, kind: str, metric: str, is_over: bool) -> list[Choices]:
    """Return the single changes that are worth a trial, the most promising first.

    Args:
        kind: Of the task.
        metric: By which models are compared.
        is_over: The default does not keep the budget of bytes or of time.
    """
    base = read_settings()[0]
    levers: list[Choices] = list(_list_smaller(look, base)) if is_over else []
    levers += [{name: False} for name in look.files]
    if kind == "single-label" and look.is_uneven and metric in ("macro_f1", "balanced_accuracy"):
        ways = {"class_weight": "balanced"}
        ways |= {"decide": "macro-f1"} if metric == "macro_f1" else {}
        levers += [{name: way} for name, way in ways.items() if name not in look.aims]
    if look.rows >= DEEP_ROWS:  # quick, and tells how long the encoder of all others takes
        levers.append(NO_ENCODER)
    larger = {"table_bytes": 4 * base.table_bytes}
    if look.num_labels >= MANY_LABELS or look.long > 200:
        levers.append(larger)
    if look.rows >= DEEP_ROWS:
        levers += _list_deep(look, base)
    levers += [larger, {"table_bytes": 16 * base.table_bytes}]
    if look.long > 128:
        levers += [{"max_length": length} for length in (128, 512) if length < look.long]
    if look.words > LARGE_VOCABULARY:
        levers += [{"vocab_size": size} for size in (50_000, 8_000)]
    levers += _list_stacked(look)
    kept: dict[str, Choices] = {}
    for lever in levers:
        kept.setdefault(name_choices(lever), lever)
    return list(kept.values())


def _list_deep(look: Look, base: Settings) -> list[Choices]:
    """Return changes of the half that reads the order of words."""
    others = [name for name in ENCODERS if name not in (base.encoder, "none")]
    others.sort(key=lambda name: name == "rnn")
    if look.is_spaced and look.typical > 30:  # order far apart counts
        others.sort(key=lambda name: name in ("cnn", "rnn"))
    levers: list[Choices] = [
        {"embedding_dim": 2 * base.embedding_dim, "units": [2 * base.units[0]]},
        {"token_dropout_rate": 0.15},
        {"encoder": others[0]},
        {"embedding_dim": 3 * base.embedding_dim},
        {"epochs": 2 * base.epochs, "min_steps": 2 * base.min_steps},
        {"dropout_rate": 0.3},
        *({"encoder": name} for name in others[1:]),
        {"learning_rate": base.learning_rate / 2},
        {"token_dropout_rate": 0.45},
        {"units": [2 * base.units[0]]},
        {"learning_rate": 2 * base.learning_rate},
        {"weight_decay": 10 * base.weight_decay},
        {"batch_size": base.batch_size // 2},
        {"epochs": base.epochs // 2, "min_steps": base.min_steps // 2},
    ]
    return levers


def _list_smaller(look: Look, base: Settings) -> Iterator[Choices]:
    """Yield changes that make a bundle smaller and quicker."""
    if look.rows >= DEEP_ROWS:
        yield NO_ENCODER
        yield {"embedding_dim": base.embedding_dim // 2, "units": [base.units[0] // 2]}
    for share in (2, 4, 8, 16):
        yield {"table_bytes": base.table_bytes // share}
    for size in (8_000, 4_000, 2_000, 1_000):
        yield {"vocab_size": size}
    for length in (256, 128, 64, 32):
        if length < look.long:
            yield {"max_length": length}


def _list_stacked(look: Look) -> Iterator[Choices]:
    """Yield the other recipes, small enough to be tried beside the default."""
    for settings in read_settings()[1:]:
        length = min(settings.max_length, max(16, look.long))
        yield {"recipe": settings.recipe, "units": [64], "max_length": length, "dropout_rate": 0.3}


def propose(
    levers: Sequence[Choices], gains: Mapping[str, float], best: Choices
) -> Iterator[Choices]:
    """Yield candidates in the order in which they are tried, those that were tried too.

    First each lever alone; then to the best candidate so far each other lever, those that helped
    most first; levers that helped nothing are left out then.

    Args:
        levers: As `list_levers` gives them.
        gains: Name of a candidate that was tried -> by how much it was better than the default on
            the same rows.
        best: The best candidate so far.
    """
    yield DEFAULT
    yield from levers
    helpful = [lever for lever in levers if gains.get(name_choices(lever), 0.0) > 0]
    helpful.sort(key=lambda lever: -gains[name_choices(lever)])
    for lever in helpful:
        if not set(lever) & set(best) and _fit_together(best, lever):
            yield {**best, **lever}
    for index, first in enumerate(helpful):
        for second in helpful[index + 1 :]:
            if not set(first) & set(second) and _fit_together(first, second):
                yield {**first, **second}


def _fit_together(one: Choices, other: Choices) -> bool:
    """Say whether two changes make a third: not where one takes away what the other changes."""
    both = {**one, **other}
    has_deep = both.get("encoder") != "none"
    of_default = {"table_bytes"}
    if both.get("recipe", DEFAULT_RECIPE) != DEFAULT_RECIPE:
        return not of_default & set(both) and both.get("encoder") not in ("none", "cnn")
    return has_deep or not OF_ENCODER & set(both)


def needs_encoder(choices: Choices) -> bool:
    """Say whether a candidate changes the encoder, of which a model may have none."""
    is_default_recipe = choices.get("recipe", DEFAULT_RECIPE) == DEFAULT_RECIPE
    return is_default_recipe and bool({"encoder", *OF_ENCODER} & set(choices))


def is_felt(look: Look, choices: Choices, rows: int) -> bool:
    """Say whether each change of a candidate makes a difference in a fit of so many rows.

    More epochs make none where there are as many as there can be, nor does a larger vocabulary
    where there are no more words.
    """
    settings = make_settings(choices, seed=0)
    for names, read in (
        (("epochs", "min_steps"), lambda one: count_epochs(one, -(-rows // one.batch_size))),
        (("vocab_size",), lambda one: min(one.vocab_size, look.count_words(rows))),
    ):
        without = {name: value for name, value in choices.items() if name not in names}
        is_changed = len(without) < len(choices)
        if is_changed and read(settings) == read(make_settings(without, seed=0)):
            return False
    return True


def holds_more(choices: Choices) -> bool:
    """Say whether a candidate differs in nothing but in holding more words or phrases than the
    default: what that gains of some rows, more rows do not take away."""
    base = read_settings()[0]
    sizes = {"table_bytes": base.table_bytes, "vocab_size": base.vocab_size}
    return all(name in sizes and value > sizes[name] for name, value in choices.items())


def make_settings(choices: Choices, seed: int) -> Settings:
    """Return the settings of a candidate."""
    recipes = {settings.recipe: settings for settings in read_settings()}
    given = {name: value for name, value in choices.items() if name not in (*FILES, *AIMS)}
    recipe = given.pop("recipe", DEFAULT_RECIPE)
    units = {"units": tuple(given["units"])} if "units" in given else {}
    return override(recipes[recipe], {**given, **units, "seed": seed})


def write_command(choices: Choices, given: Sequence[str], seed: int, out: str) -> str:
    """Return the command of `minnow train` that fits a candidate again.

    Args:
        given: Data and options of the data, as they are typed.
    """
    words = ["minnow", "train", *given]
    for name, value in sorted(choices.items()):
        flag = f"--{name.replace('_', '-')}"
        if name in FILES:
            place = words.index(flag)
            del words[place : place + 2]
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [flag, text]
    return shlex.join([*words, "--seed", str(seed), "--out", out])
