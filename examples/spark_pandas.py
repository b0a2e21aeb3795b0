"""Spark, mapInPandas: a folder of Parquet in, the same rows and predictions out."""

import sys

import pandas
from pyspark.sql import SparkSession

import minnow

bundle, source, target = sys.argv[1:]
score = minnow.Scorer(bundle, rejects="column")

added = "predicted_label:string,predicted_score:double,rejected:string,model_version:string"

rows = SparkSession.builder.getOrCreate().read.parquet(source)
schema = f"{rows.schema.simpleString()[:-1]},{added}>"
scored = rows.mapInPandas(lambda parts: (pandas.DataFrame(score(part)) for part in parts), schema)
scored.write.parquet(target)
