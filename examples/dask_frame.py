"""Dask: a folder of Parquet in, the same rows and predictions out, partition by partition."""

import sys

import dask.dataframe
import pandas

import minnow

bundle, source, target = sys.argv[1:]
score = minnow.Scorer(bundle, rejects="column")

rows = dask.dataframe.read_parquet(source)
scored = rows.map_partitions(lambda part: pandas.DataFrame(score(part), part.index))
scored.to_parquet(target, write_index=False)
