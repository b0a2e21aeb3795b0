"""Labelled texts in a folder: one subfolder for each label, one file for each text, as aclImdb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from handler.errors import InvalidInput
from handler.rows.encodings import find_bom, find_encoding
from handler.rows.options import check_encoding
from training.errors import DataError

# The reviews of aclImdb without a label stand in a folder of this name beside pos and neg.
UNLABELLED_FOLDER = "unsup"
ENDINGS = (".txt", "")
# What archives of a Mac hold beside the texts; other hidden names begin with a dot.
HIDDEN_FOLDER = "__MACOSX"


def read_folder(path: Path, encoding: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield text and label: of files that end in .txt, in any case, or have no ending.

    Args:
        path: The folder.
        encoding: Of every file; None: UTF-8, or what a byte order mark says.

    Raises:
        DataError: No subfolder, one without a text, or a file that cannot be decoded.
    """
    folders = sorted(
        folder
        for folder in path.iterdir()
        if folder.is_dir()
        and not folder.name.startswith(".")
        and folder.name not in (UNLABELLED_FOLDER, HIDDEN_FOLDER)
    )
    if not folders:
        raise DataError(f"{path}: no subfolder found, wanted one for each label")
    files = {folder: list_texts(folder) for folder in folders}
    if empty := [folder.name for folder, texts in files.items() if not texts]:
        raise DataError(
            f"{path}: no text in {', '.join(map(repr, empty))}: a label is a subfolder with files "
            "that end in .txt or have no ending. Fill it or remove it."
        )
    for folder, texts in files.items():
        for file in texts:
            yield read_text(file, encoding), folder.name


def list_texts(folder: Path) -> list[Path]:
    """Return the files of a label's folder that hold texts, hidden ones left out."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()
    )


def read_text(file: Path, encoding: str | None) -> str:
    """Return a file's text, each line end a line feed."""
    content = file.read_bytes()
    try:
        if encoding is None:
            found, bom = find_encoding(content, guesses=False)
        else:
            found, bom = find_bom(content, check_encoding(encoding))
        text = content[len(bom) :].decode(found)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not {error.encoding.upper()} at byte {error.start}. Name its encoding with "
            "--encoding, or convert it."
        ) from None
    except InvalidInput as error:
        raise DataError(f"{file}: {error}.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
