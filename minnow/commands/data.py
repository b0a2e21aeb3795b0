"""`minnow data`: a data set to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from minnow.options import flag, option

PANEL = "Tools"
EXAMPLES = ("minnow data synthetic --out demo", "minnow data imdb --out imdb")

Name = Annotated[
    Literal["imdb", "synthetic"],
    typer.Argument(
        metavar="NAME",
        help="imdb: the Large Movie Review Dataset, a download of 84 MB; synthetic: made-up "
        "reviews.",
    ),
]
Out = Annotated[Path, option("--out", "FOLDER", "Folder to write into.")]
Rows = Annotated[int, option("--rows", "N", "Rows of the synthetic set.", min=1)]
Seed = Annotated[int, option("--seed", "N", "Seed of the synthetic set.")]
Force = Annotated[bool, flag("--force", "Replace a synthetic set that stands already.")]


def data(name: Name, out: Out, rows: Rows = 4000, seed: Seed = 0, force: Force = False) -> None:
    """Fetch or make a set of labelled texts."""
    if name == "imdb":
        from training.imdb import download_imdb

        paths = download_imdb(out)
    else:
        from minnow.errors import CommandError
        from training.synthetic import write_synthetic_reviews

        paths = [out / "synthetic_reviews.csv"]
        if paths[0].exists() and not force:
            raise CommandError(
                f"{paths[0]}: exists already. Name another folder by --out; --force replaces it"
            )
        write_synthetic_reviews(paths[0], rows, seed)
    print(*paths, sep="\n")
