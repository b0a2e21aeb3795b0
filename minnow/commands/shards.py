"""`minnow shards`: that all processes of a `minnow score --shard` are done."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from minnow.options import Json

PANEL = "Model"
EXAMPLES = ("minnow shards scored/", "minnow shards s3://bucket/scored/ --json")

Out = Annotated[
    str, typer.Argument(metavar="FOLDER", help="Folder or s3://BUCKET/PREFIX/ of the outputs.")
]


def shards(out: Out, json_output: Json = False) -> None:
    """Check that every shard of a scoring is done, and write a manifest of all.

    Every output is read and compared with what its shard wrote down, and the rows are added up.
    """
    from handler.hosts.shard_check import MANIFEST, check_shards
    from handler.hosts.shard_files import FOLDER

    manifest = check_shards(out)
    if json_output:
        print(json.dumps(manifest, ensure_ascii=False))
        return
    print(
        f"{out.rstrip('/')}/{FOLDER}/{MANIFEST}\tall {manifest['num_shards']:,} shards are done: "
        f"{manifest['rows']:,} rows of {len(manifest['inputs']):,} inputs, "
        f"{manifest['rejected']:,} rejected"
    )
