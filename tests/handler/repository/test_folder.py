"""What only a folder can hold: links, pipes, and what killed pushes leave."""

import errno
import os

import pytest

from handler.errors import ArtefactError
from handler.inference.bundle import MissingArtefactError
from handler.repository import folder
from handler.repository.places import open_store
from handler.repository.publish import promote_version, read_version


@pytest.fixture
def root(folder_shop, tmp_path):
    folder_shop.push("films", "a", "live")
    return tmp_path / "models"


def test_links_are_not_followed(folder_shop, root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    os.rename(root / "films" / "1", elsewhere)
    (root / "films" / "1").symlink_to(elsewhere)
    (root / "books").symlink_to(root / "films")

    assert folder_shop.store.list_models() == ["films"]
    assert folder_shop.store.list_versions("films") == []
    with pytest.raises(ArtefactError, match="films/1: is a link, which is not followed"):
        read_version(folder_shop.store, "films", 1)
    with pytest.raises(ArtefactError, match="books: is a link"):
        folder_shop.push("books", "a")
    with pytest.raises(ArtefactError, match="books: is a link"):
        promote_version(folder_shop.store, "books", 1, "live")


@pytest.mark.parametrize("file", ["aliases.json", "1/manifest.json", "1/model.onnx"])
def test_a_file_that_is_a_link_or_a_pipe_is_refused(folder_shop, root, tmp_path, file):
    path = root / "films" / file
    content = path.read_bytes()
    path.unlink()
    (tmp_path / "target").write_bytes(content)
    path.symlink_to(tmp_path / "target")

    def read():
        folder_shop.store.read_aliases("films")
        read_version(folder_shop.store, "films", 1)

    with pytest.raises(ArtefactError, match="is a link"):
        read()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtefactError, match="is no regular file"):
        read()


def test_what_a_killed_push_left_is_no_version_and_goes_with_the_next(folder_shop, root):
    left = root / "films" / ".push-0123"
    (left / "version").mkdir(parents=True, mode=0o700)
    left.chmod(0o700)
    (left / "version" / "model.onnx").write_bytes(b"half")

    assert folder_shop.store.list_versions("films") == [1]
    assert folder_shop.push("films", "b") == 2
    assert not left.exists()


def test_a_repository_that_is_not_there_is_an_error_that_says_how_one_is_made(tmp_path):
    with pytest.raises(MissingArtefactError, match="minnow push BUNDLE"):
        open_store(str(tmp_path / "nowhere")).list_models()


def test_an_empty_folder_of_a_version_holds_its_number_for_nobody(folder_shop, root):
    (root / "films" / "7").mkdir()

    assert folder_shop.push("films", "b") == 8


def test_a_push_that_another_process_holds_up_is_tried_again(folder_shop, root, monkeypatch):
    hold, refused = folder.holding, []

    def hold_later(work, output):
        if len(refused) < 2:
            refused.append(work)
            raise OSError(errno.EBUSY, "process 1 is at work on it", str(output))
        return hold(work, output)

    monkeypatch.setattr(folder, "holding", hold_later)

    assert folder_shop.push("films", "b") == 2
    assert len(refused) == 2

    def hold_never(work, output):
        raise OSError(errno.EBUSY, "process 1 is at work on it", str(output))

    monkeypatch.setattr(folder, "holding", hold_never)
    monkeypatch.setattr(folder, "PAUSE_S", 0)
    with pytest.raises(OSError, match="process 1 is at work"):
        folder_shop.push("films", "b")
