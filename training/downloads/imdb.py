"""Downloading the Large Movie Review Dataset (Maas et al., ACL 2011)."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from pathlib import Path

from handler.files import holding, replacing
from training.downloads.resumable import Remote, download

TARBALL = Remote(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    algorithm="md5",
    digest="7c2ac02c03563afcf9b574c7e56c153a",
    size_bytes=84_125_825,
)
LABELS = ("neg", "pos")


def download_imdb(out: Path, remote: Remote = TARBALL) -> list[Path]:
    """Download the official tarball once, check it, and return `train.csv.gz` and `test.csv.gz`.

    Columns: text, label (neg or pos), film (the film's id, for `--group-column film`: reviews of
    one film then stay on one side of the split).

    Raises:
        DataError: The download fails, or the tarball's md5 is not the official one.
        OSError: Another process downloads into `out`, or the disk is full.
    """
    with holding(out / ".imdb.partial", out):
        rows, films = _read_tarball(download(remote, out))
        return [_write_split(out, split, rows, films) for split in ("train", "test")]


def _read_tarball(
    path: Path,
) -> tuple[dict[tuple[str, str, int], str], dict[tuple[str, str], list[str]]]:
    """Return (split, label, id) -> text and (split, label) -> film of each id."""
    rows: dict[tuple[str, str, int], str] = {}
    films: dict[tuple[str, str], list[str]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            parts = member.name.split("/")
            content = archive.extractfile(member)
            if content is None or len(parts) < 3 or parts[1] not in ("train", "test"):
                continue
            split, rest = parts[1], parts[2:]
            if len(rest) == 2 and rest[0] in LABELS and rest[1].endswith(".txt"):
                row = int(rest[1].split("_")[0])
                rows[split, rest[0], row] = content.read().decode("utf-8")
            elif len(rest) == 1 and rest[0] in ("urls_neg.txt", "urls_pos.txt"):
                label = rest[0][5:8]
                lines = content.read().decode("utf-8").splitlines()
                films[split, label] = [line.split("/title/")[1].split("/")[0] for line in lines]
    return rows, films


def _write_split(
    out: Path,
    split: str,
    rows: dict[tuple[str, str, int], str],
    films: dict[tuple[str, str], list[str]],
) -> Path:
    path = out / f"{split}.csv.gz"
    # mtime=0: the same tarball gives the same bytes; so does a name that is not written.
    with (
        replacing(path) as temporary,
        temporary.open("wb") as plain,
        gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as stream,
        io.TextIOWrapper(stream, "utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label", "film"])
        for (_, label, row), text in sorted(item for item in rows.items() if item[0][0] == split):
            writer.writerow([text, label, films[split, label][row]])
    return path
