"""The texts that feedback speaks of, by the ids that their sender gave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from handler.errors import InvalidInput
from handler.rows.columns import ColumnError
from handler.rows.formats import detect_format
from handler.rows.reader import open_rows
from training.errors import DataError
from training.feedback.documents import check_unicode, is_json, read_documents
from training.feedback.joining import REVIEW, Pair, Said, Target, is_review, read_index


class Texts:
    """Texts by id and place; an id that stands for two texts stands for none.

    Attributes:
        ambiguous: Ids of which that was so.
    """

    def __init__(self, places: Iterable[str], id_column: str, text_column: str) -> None:
        self._id_column = id_column
        self._text_column = text_column
        self._texts: dict[Target, str] = {}
        self.ambiguous: set[Target] = set()
        for place in places:
            self._read(place)

    def find(self, said: Said, pair: Pair | None = None) -> str | None:
        """Return the text of a feedback: by the id of its result, or that which its sender gave;
        None where it is not there."""
        result_id, index = said.target
        found = self._texts.get((result_id, index))
        if found is None and pair is not None and pair.told is not None and pair.told.sender_id:
            found = self._texts.get((pair.told.sender_id, index))
        return found

    def _read(self, place: str) -> None:
        if place.startswith("s3://") or Path(place).is_dir() or is_json(place):
            for found in read_documents(place):
                self._read_document(found.document, found.place)
        else:
            self._read_table(Path(place))

    def _read_document(self, document: Mapping[str, Any], where: str) -> None:
        if is_review(document):
            name = str(document.get("result_id", "")).removesuffix(REVIEW)
            reviews = document["reviews"]
            for review in reviews if isinstance(reviews, list) else ():
                if isinstance(review, Mapping) and "index" in review:  # a row of an object has none
                    self._add(name, read_index(review["index"]), review.get("text"), where)
            return
        name = document.get(self._id_column, document.get("result_id"))
        if isinstance(document.get("texts"), list):
            for index, text in enumerate(document["texts"]):
                self._add(name, index, text, where)
        elif self._text_column in document:
            place = read_index(document.get("index"))
            self._add(name, place, document[self._text_column], where)

    def _read_table(self, path: Path) -> None:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        try:
            names = [self._text_column, self._id_column]
            with path.open("rb") as stream:
                for row in open_rows(stream, detect_format(path.name, read_only=True), names):
                    if row.problem:
                        raise DataError(f"{path}: row {row.number}: {row.problem}. Mend the row.")
                    self._add(row.values[1], 0, row.values[0], f"{path}: row {row.number}")
        except ColumnError as error:
            raise DataError(
                f"{path}: no column {error.column!r}. Name them with --text-column and --id-column."
            ) from None
        except InvalidInput as error:
            raise DataError(f"{path}: {error}.") from error

    def _add(self, name: object, index: int | None, text: object, where: str) -> None:
        if isinstance(name, float) and name.is_integer():  # as spreadsheets have numbers
            name = int(name)
        is_named = isinstance(name, str | int) and not isinstance(name, bool)
        if not is_named or not isinstance(text, str) or index is None:
            raise DataError(
                f"{where} has no id, or no text. Wanted {self._id_column!r} and "
                f"{self._text_column!r}; name others with --id-column and --text-column."
            )
        check_unicode(text, where)
        target = (str(name), index)
        if target in self.ambiguous:
            return
        if self._texts.setdefault(target, text) != text:
            self.ambiguous.add(target)
            del self._texts[target]
