"""Spark, predict_batch_udf: predictions as a column `answer` of any query."""

import sys

from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

import minnow

bundle, source, target = sys.argv[1:]
score = minnow.Scorer(bundle, text_column="text", rejects="column")
fields = "predicted_label string, predicted_score double, rejected string"

rows = SparkSession.builder.getOrCreate().read.parquet(source)
answer = predict_batch_udf(
    lambda: lambda texts: {k: v for k, v in score({"text": texts}).items() if k in fields},
    return_type=StructType.fromDDL(fields),
    batch_size=1024,
)
rows.withColumn("answer", answer("text")).write.parquet(target)
