"""How a file is read: what a caller may set, and what was found where nothing was set."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from handler.errors import InvalidInput

# Name for a delimiter -> the character: a tab is hard to type in a shell.
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", r"\t": "\t"}
QUOTINGS = ("standard", "none")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
UTF_8 = "utf-8"


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read; what is None is found in its first bytes.

    Args:
        delimiter: The character between two fields of a CSV or TSV file.
        encoding: A name that Python knows, such as `windows-1252`.
        quoting: `none`: a double quote is a character like any other. `standard`: it quotes.
        join_surplus: Take the surplus fields of a row as part of the text, where the header has two
            columns: the cure for commas in texts without quotes.
    """

    delimiter: str | None = None
    encoding: str | None = None
    quoting: str | None = None
    join_surplus: bool = False


@dataclass(frozen=True)
class Found:
    """How a file is read, once its first bytes were looked at.

    Args:
        encoding: As Python names it.
        columns: Where each value stands, in the order of asking: a column, or several that are
            joined, with commas between. Empty where columns have no names.
        wanted: What was asked for.
        delimiter: Empty where fields have none.
        quoting: One of QUOTINGS; empty where there is no such thing.
        details: Further sentences about what was found, such as that the lines are fastText's.
    """

    encoding: str = UTF_8
    columns: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    delimiter: str = ""
    quoting: str = ""
    details: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return one line: "windows-1252, semicolons between fields, text in 'review'"."""
        parts = [self.encoding]
        if self.delimiter:
            name = NAMES.get(self.delimiter, repr(self.delimiter))
            parts.append(f"{name} between fields")
        if self.quoting == "none":
            parts.append("quotes are characters like any other")
        parts += self.details
        parts += [
            f"{wanted} in {column!r}" if wanted != column else f"column {column!r}"
            for wanted, column in zip(self.wanted, self.columns, strict=True)
        ]
        return ", ".join(parts)


def check_options(options: ReadOptions) -> ReadOptions:
    """Return `options` with a delimiter's name replaced by its character and a known encoding.

    Raises:
        InvalidInput: A value cannot be used.
    """
    delimiter, encoding = options.delimiter, options.encoding
    if delimiter is not None:
        delimiter = DELIMITERS.get(delimiter.lower(), delimiter)
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0 ':
            raise InvalidInput(
                f"the delimiter {delimiter!r} cannot be used, wanted one character of ASCII or one "
                f"of {', '.join(name for name in DELIMITERS if name.isalpha())}"
            )
    if encoding is not None:
        encoding = check_encoding(encoding)
    if options.quoting not in (None, *QUOTINGS):
        raise InvalidInput(f"quoting is {options.quoting!r}, wanted {' or '.join(QUOTINGS)}")
    return ReadOptions(delimiter, encoding, options.quoting, options.join_surplus)


def check_encoding(name: str) -> str:
    """Return the name that Python has for an encoding of text."""
    try:
        info = codecs.lookup(name)
        is_text = isinstance(info.incrementaldecoder().decode(b""), str)  # hex is none
    except Exception:
        is_text = False
    if not is_text or info.name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape"):
        raise InvalidInput(
            f"the encoding {name!r} is not known, wanted one such as utf-8, utf-16, windows-1252 "
            "or shift_jis"
        )
    if info.name == "utf-8-sig":
        return UTF_8
    return info.name.replace("cp125", "windows-125")
