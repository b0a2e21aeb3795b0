"""Folders of texts: which files are texts, which are passed over, and what is refused."""

from __future__ import annotations

import pytest

from training.errors import DataError
from training.rows.folders import read_folder


def test_files_of_any_case_and_without_an_ending_are_texts(tmp_path):
    for name in ("neg/0.txt", "neg/1", "pos/0.TXT", "pos/.hidden.txt", "pos/._0.txt", "pos/a.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + name.encode() + b"\r\n")
    for name in (".git", "__MACOSX", "unsup"):
        (tmp_path / name).mkdir()

    assert list(read_folder(tmp_path)) == [
        ("neg/0.txt\n", "neg"),
        ("neg/1\n", "neg"),
        ("pos/0.TXT\n", "pos"),
    ]


def test_a_label_without_a_text_is_named(tmp_path):
    for name in ("neg", "pos", "neu"):
        (tmp_path / name).mkdir()
    (tmp_path / "pos" / "0.txt").write_text("good")
    (tmp_path / "neu" / "0.md").write_text("so")

    with pytest.raises(DataError, match=r"no text in 'neg', 'neu': a label is a subfolder"):
        list(read_folder(tmp_path))


def test_files_in_another_encoding(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "0.txt").write_bytes("café".encode("cp1252"))
    (tmp_path / "pos" / "1.txt").write_bytes("café".encode("cp1252"))

    assert [text for text, _ in read_folder(tmp_path, "windows-1252")] == ["café", "café"]
    with pytest.raises(DataError, match=r"0.txt: not UTF-8 at byte 3. Name its encoding"):
        list(read_folder(tmp_path))


def test_a_file_says_its_encoding_by_a_byte_order_mark(tmp_path):
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "0.txt").write_bytes("café".encode("utf-16"))

    assert list(read_folder(tmp_path)) == [("café", "pos")]
