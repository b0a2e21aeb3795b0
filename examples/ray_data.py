"""Ray Data: a folder of Parquet in, the same rows and predictions out, by a pool of actors."""

import sys

import ray

import minnow

bundle, source, target = sys.argv[1:]
scored = ray.data.read_parquet(source).map_batches(
    minnow.Scorer,
    fn_constructor_args=[bundle],
    fn_constructor_kwargs={"rejects": "column"},
    concurrency=(1, 8),
    batch_size=1024,
)
scored.write_parquet(target)
