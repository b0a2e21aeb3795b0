"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there takes its place at the end.

    The temporary name keeps the ending (`a.npz` -> `.partial-a.npz`), by which libraries tell
    formats. If the block raises, the temporary file is removed and `path` is as it was.
    """
    temporary = path.with_name(f".partial-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write `document` to `path` as indented JSON."""
    content = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
