"""The download, from a tarball of the official layout on loopback."""

import dataclasses
import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.publisher import Publisher, publishing
from training.downloads.imdb import download_imdb
from training.downloads.resumable import Remote
from training.errors import DataError
from training.rows.columns import Columns
from training.rows.readers import read_dataset

FILES = {
    "README": "not a review",
    "imdb.vocab": "the\nand",
    "train/labeledBow.feat": "9 0:1",
    "train/neg/0_2.txt": "dull, very\ndull",
    "train/neg/1_1.txt": 'a "bad" film',
    "train/pos/0_9.txt": "good<br />film",
    "train/pos/10_8.txt": "eleventh",
    "train/unsup/0_0.txt": "no label",
    "train/urls_neg.txt": "http://www.imdb.com/title/tt1/usercomments\n"
    "http://www.imdb.com/title/tt2/usercomments\n",
    "train/urls_pos.txt": "".join(
        f"http://www.imdb.com/title/tt{film}/usercomments\n" for film in range(100, 111)
    ),
    "train/urls_unsup.txt": "http://www.imdb.com/title/tt9/usercomments\n",
    "test/neg/0_3.txt": "weak",
    "test/pos/0_7.txt": "café",
    "test/urls_neg.txt": "http://www.imdb.com/title/tt3/usercomments\n",
    "test/urls_pos.txt": "http://www.imdb.com/title/tt4/usercomments\n",
}


def make_tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in FILES.items():
            member = tarfile.TarInfo(f"aclImdb/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def site() -> Iterator[Publisher]:
    with publishing(Publisher(make_tarball(), "aclImdb_v1.tar.gz")) as publisher:
        yield publisher


def remote(site: Publisher) -> Remote:
    return Remote(site.url, "md5", hashlib.md5(site.content).hexdigest(), len(site.content))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_labels_and_films_are_those_of_the_tarball(tmp_path, site):
    train_path, test_path = download_imdb(tmp_path / "imdb", remote(site))

    train = read_dataset(train_path, Columns(group="film"))
    test = read_dataset(test_path, Columns(group="film"))
    assert train.texts == ["dull, very\ndull", 'a "bad" film', "good<br />film", "eleventh"]
    assert train.labels == ["neg", "neg", "pos", "pos"]
    assert train.groups == ["tt1", "tt2", "tt100", "tt110"]
    assert (test.texts, test.labels) == (["weak", "café"], ["neg", "pos"])
    assert test.groups == ["tt3", "tt4"]
    assert files_in(tmp_path / "imdb") == ["aclImdb_v1.tar.gz", "test.csv.gz", "train.csv.gz"]


def test_second_call_downloads_nothing_and_writes_the_same_bytes(tmp_path, site):
    first = [path.read_bytes() for path in download_imdb(tmp_path, remote(site))]

    again = [path.read_bytes() for path in download_imdb(tmp_path, remote(site))]

    assert again == first
    assert site.requests == ["/aclImdb_v1.tar.gz"]


def test_wrong_md5_leaves_nothing(tmp_path, site):
    with pytest.raises(DataError, match=r"aclImdb_v1\.tar\.gz: .*another md5"):
        download_imdb(tmp_path, dataclasses.replace(remote(site), digest="0" * 32))

    assert files_in(tmp_path) == []


def test_failed_download_leaves_nothing(tmp_path, site):
    gone = dataclasses.replace(remote(site), url=f"{site.address}/gone")

    with pytest.raises(DataError, match="/gone: the server answered 404 .* Run the command again"):
        download_imdb(tmp_path, gone)

    assert files_in(tmp_path) == []
