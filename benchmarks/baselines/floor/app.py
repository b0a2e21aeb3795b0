"""Baseline: the least that can answer; imports and a session, nothing checked."""

import json
import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

MODEL = Path(__file__).parent / "model"
tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(str(MODEL / "model.onnx"), options)


def handler(event, context):
    body = event["Records"][0]["Sns"]["Message"] if "Records" in event else event["body"]
    ids = np.array([tokenizer.encode(json.loads(body)["text"]).ids], dtype=np.int32)
    probabilities = session.run(None, {"token_ids": ids})[0][0].tolist()
    if "Records" in event:
        return {"results": [probabilities]}
    return {"statusCode": 200, "body": json.dumps({"probabilities": probabilities})}
