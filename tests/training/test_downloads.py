"""Downloads from a server on loopback that cuts, refuses, and gives something else."""

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from handler.files import holding
from tests.helpers.publisher import Publisher, publishing
from tests.helpers.tools import skip_or_fail
from training.downloads.glove import download_glove
from training.downloads.resumable import CHUNK_BYTES, Remote, download
from training.errors import DataError

CONTENT = random.Random(0).randbytes(5 * CHUNK_BYTES + 7)
NAME = "vectors.zip"


@pytest.fixture
def site() -> Iterator[Publisher]:
    with publishing(Publisher(CONTENT, NAME)) as publisher:
        yield publisher


def remote(site: Publisher, content: bytes = CONTENT) -> Remote:
    return Remote(site.url, "sha256", hashlib.sha256(content).hexdigest(), len(content))


def fetch(site: Publisher, out: Path) -> Path:
    return download(remote(site), out, pause_s=0)


def kept_bytes(out: Path) -> int:
    return (out / f".partial-{NAME}" / NAME).stat().st_size


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_once_and_stands_alone(tmp_path, site):
    path = fetch(site, tmp_path / "new" / "folder")

    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == CONTENT
    assert fetch(site, path.parent) == path
    assert site.requests == [f"/{NAME}"]
    assert files_in(path.parent) == [NAME]


def test_glove_is_fetched_by_the_same_way(tmp_path, site):
    assert download_glove(tmp_path, remote(site)).read_bytes() == CONTENT


def test_a_cut_download_goes_on_where_it_was_cut(tmp_path, site):
    site.cuts = [2 * CHUNK_BYTES, CHUNK_BYTES]

    path = fetch(site, tmp_path)

    assert path.read_bytes() == CONTENT
    first, second = 2 * CHUNK_BYTES, 3 * CHUNK_BYTES
    assert site.requests == [
        f"/{NAME}",
        f"/{NAME} bytes={first}-",
        f"/{NAME} bytes={second}-",
    ]


def test_what_came_is_kept_for_the_next_call(tmp_path, site):
    site.cuts = [2 * CHUNK_BYTES, 0, 0, 0]

    with pytest.raises(DataError, match=r"131,072 of 327,687 bytes are kept\. Run the command"):
        fetch(site, tmp_path)

    assert kept_bytes(tmp_path) == 2 * CHUNK_BYTES
    site.cuts, site.requests = [], []
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == [f"/{NAME} bytes={2 * CHUNK_BYTES}-"]
    assert files_in(tmp_path) == [NAME]


def test_without_ranges_it_begins_anew(tmp_path, site):
    site.has_ranges, site.cuts = False, [2 * CHUNK_BYTES]

    assert fetch(site, tmp_path).read_bytes() == CONTENT

    assert site.requests == [f"/{NAME}", f"/{NAME} bytes={2 * CHUNK_BYTES}-"]


def test_without_ranges_cuts_at_one_place_do_not_go_on_for_ever(tmp_path, site):
    site.has_ranges, site.cuts = False, [CHUNK_BYTES] * 9

    with pytest.raises(DataError, match="connection failed or was cut"):
        fetch(site, tmp_path)

    assert len(site.requests) == 3


def test_another_range_than_asked_is_refused(tmp_path, site):
    site.cuts, site.shift = [CHUNK_BYTES], 1

    with pytest.raises(DataError, match="another range than asked"):
        fetch(site, tmp_path)

    assert kept_bytes(tmp_path) == CHUNK_BYTES


def test_a_part_that_is_longer_than_the_servers_file_is_dropped(tmp_path, site):
    wanted = remote(site)
    site.content = CONTENT[:CHUNK_BYTES]
    folder = tmp_path / f".partial-{NAME}"
    folder.mkdir(mode=0o700)
    (folder / NAME).write_bytes(CONTENT[: 2 * CHUNK_BYTES])

    with pytest.raises(DataError, match="the server has a shorter file"):
        download(wanted, tmp_path, pause_s=0)

    assert site.requests[:2] == [f"/{NAME} bytes={2 * CHUNK_BYTES}-", f"/{NAME}"]


def test_a_wrong_hash_leaves_nothing(tmp_path, site):
    site.content = bytes(len(CONTENT))

    with pytest.raises(DataError, match="came with another sha256 than .* Run the command again"):
        fetch(site, tmp_path)

    assert files_in(tmp_path) == []


def test_a_part_of_another_file_is_not_kept(tmp_path, site):
    site.content = bytes(len(CONTENT))
    site.cuts = [CHUNK_BYTES, 0, 0, 0]
    with pytest.raises(DataError, match="are kept"):
        fetch(site, tmp_path)
    site.content, site.cuts = CONTENT, []

    with pytest.raises(DataError, match="came with another sha256"):
        fetch(site, tmp_path)

    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_more_than_the_file_has_is_not_written(tmp_path, site):
    wanted = remote(site)
    site.content = CONTENT * 2

    with pytest.raises(DataError, match="sends more than the 327,687 bytes"):
        download(wanted, tmp_path, pause_s=0)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(tmp_path, site, status):
    site.statuses = [status]

    with pytest.raises(DataError, match=f"{NAME}: the server answered {status} "):
        fetch(site, tmp_path)

    assert len(site.requests) == 1
    assert files_in(tmp_path) == []


def test_a_server_in_trouble_is_asked_again(tmp_path, site):
    site.statuses = [503, 500]

    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_nobody_there_is_one_line(tmp_path):
    with publishing(Publisher(CONTENT, NAME)) as site:
        gone = remote(site)

    with pytest.raises(DataError, match=r"vectors\.zip: the connection failed .*ConnectionError"):
        download(gone, tmp_path, pause_s=0)


def test_another_file_of_that_name_is_left_as_it_is(tmp_path, site):
    (tmp_path / NAME).write_bytes(b"mine")

    with pytest.raises(DataError, match="Move it away"):
        fetch(site, tmp_path)

    assert (tmp_path / NAME).read_bytes() == b"mine"
    assert site.requests == []


def test_a_disk_that_is_too_small_is_told_before_the_download(tmp_path, site):
    huge = Remote(site.url, "sha256", "0" * 64, 1 << 60)

    with pytest.raises(OSError, match="the disk has .* MB free"):
        download(huge, tmp_path, pause_s=0)

    assert site.requests == []


def test_a_disk_that_fills_up_is_told_with_the_files_name(tmp_path, site):
    if not os.path.exists("/dev/full"):
        skip_or_fail("/dev/full is missing, a disk that is always full: run this on Linux")
    folder = tmp_path / f".partial-{NAME}"
    folder.mkdir(mode=0o700)
    (folder / NAME).symlink_to("/dev/full")

    with pytest.raises(OSError, match="the disk is full") as caught:
        fetch(site, tmp_path)

    assert caught.value.filename == str(folder / NAME)


def test_two_downloads_of_one_file_are_refused(tmp_path, site):
    with (
        holding(tmp_path / f".partial-{NAME}", tmp_path / NAME),
        pytest.raises(OSError, match="is at work on it"),
    ):
        fetch(site, tmp_path)
