"""Names of files, and packed bytes: several members or frames, broken ones, what is behind them."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable

import pytest
import zstandard

from handler.errors import InvalidInput
from handler.rows.formats import Format, compress, decompress, detect_format, read_whole
from handler.rows.reader import open_rows

PLAIN = b"good film\n" * 40_000
Pack = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", Format("csv")),
        ("in/my.v2/a.v3.CSV.GZ", Format("csv", "gzip")),
        ("a.ndjson.zst", Format("jsonl", "zstd")),
        ("a.tsv.zstd", Format("tsv", "zstd")),
        ("a.txt", Format("lines")),
        ("a.parquet", Format("parquet")),
    ],
)
def test_the_name_says_the_format(name: str, expected: Format) -> None:
    assert detect_format(name) == detect_format(name, read_only=True) == expected


@pytest.mark.parametrize("name", ["a", "a.gz", "csv", "a.csv/b", "a.csv.bz2", "a.parquet.gz"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name does not end in one of .csv, .tsv, .jsonl"):
        detect_format(name)


def test_compressed_parquet_is_only_read() -> None:
    assert detect_format("a.parquet.gz", read_only=True) == Format("parquet", "gzip")


@pytest.mark.parametrize(
    ("compression", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)]
)
def test_members_one_after_the_other_are_one_stream(compression: str, pack: Pack) -> None:
    packed = pack(PLAIN[:1000]) + pack(b"") + pack(PLAIN[1000:]) + compress(b"end", compression)

    plain = decompress(io.BytesIO(packed), compression)

    assert plain.read() == PLAIN + b"end"


def test_zeros_behind_gzip_are_passed_over() -> None:
    packed = gzip.compress(PLAIN) + bytes(5000) + gzip.compress(b"end") + bytes(3)

    assert decompress(io.BytesIO(packed), "gzip").read() == PLAIN + b"end"


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN)[:-9],  # in the checksum
        gzip.compress(PLAIN)[:-9] + b"123456789",  # another checksum
        gzip.compress(PLAIN) + b"rest",
        bytes(100) + gzip.compress(PLAIN),
        zlib.compress(PLAIN),
        PLAIN,
    ],
)
def test_broken_gzip_is_refused(packed: bytes) -> None:
    with pytest.raises(InvalidInput, match="broken or cut off"):
        read_whole(decompress(io.BytesIO(packed), "gzip"))


@pytest.mark.parametrize("packed", [zstandard.compress(PLAIN)[:-9], PLAIN])
def test_broken_zstd_is_refused(packed: bytes) -> None:
    with pytest.raises(InvalidInput, match="broken or cut off"):
        read_whole(decompress(io.BytesIO(packed), "zstd"))


def test_zstd_without_its_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(InvalidInput, match="zstd needs the package zstandard"):
        decompress(io.BytesIO(b""), "zstd")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"text,label\ngood,pos\n"), "compressed by gzip"),
        (b"PK\x03\x04 of a spreadsheet", "a zip archive, as .xlsx is"),
        (b"PAR1 of a table", "Parquet"),
        (b"%PDF-1.7", "a PDF"),
    ],
    ids=["gzip", "zip", "parquet", "pdf"],
)
def test_a_file_of_another_kind_than_its_name_says_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"it is {kind}.*rename the file"):
        open_rows(io.BytesIO(content), detect_format("rows.csv"), ["text"])
