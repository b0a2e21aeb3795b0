"""`minnow data`: a data set to start with, or word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from minnow.options import flag, option

PANEL = "Tools"
EXAMPLES = (
    "minnow data synthetic --out demo",
    "minnow data imdb --out imdb",
    "minnow data glove --out vectors",
)

Name = Annotated[
    Literal["imdb", "glove", "synthetic"],
    typer.Argument(
        metavar="NAME",
        help="imdb: the Large Movie Review Dataset, a download of 84 MB; glove: word vectors of "
        "English, a download of 862 MB; synthetic: made-up reviews.",
    ),
]
Out = Annotated[
    Path | None, option("--out", "FOLDER", "Folder to write into.", "a folder of that name")
]
Rows = Annotated[int, option("--rows", "N", "Rows of the synthetic set.", min=1)]
Seed = Annotated[int, option("--seed", "N", "Seed of the synthetic set.")]
Force = Annotated[bool, flag("--force", "Replace a synthetic set that stands already.")]


def data(
    name: Name,
    out: Out = None,
    rows: Rows = 4000,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Fetch or make a set of labelled texts, or fetch word vectors."""
    out = out or Path(name)
    if name == "imdb":
        from training.downloads.imdb import download_imdb

        paths = download_imdb(out)
    elif name == "glove":
        from training.downloads.glove import download_glove

        paths = [download_glove(out)]
    else:
        from minnow.errors import CommandError
        from training.downloads.synthetic import write_synthetic_reviews

        paths = [out / "synthetic_reviews.csv"]
        if paths[0].exists() and not force:
            raise CommandError(
                f"{paths[0]}: exists already. Name another folder by --out; --force replaces it"
            )
        write_synthetic_reviews(paths[0], rows, seed)
    print(*paths, sep="\n")
