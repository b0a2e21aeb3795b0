"""Baseline: the least that can answer; imports and a session, nothing checked."""

import functools
import json
import os
import re
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

MODEL = Path(__file__).parent / "model"
WORD_IDS = json.loads((MODEL / "words.json").read_text("utf-8"))
TOKEN = re.compile(r"\w+|[^\w\s]")
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(str(MODEL / "model.onnx"), options)


def handler(event, context):
    records = event.get("Records") or [event]
    texts = [json.loads(record["body"])["text"] for record in records]
    ids = [[WORD_IDS.get(token, 1) for token in TOKEN.findall(text.lower())] for text in texts]
    probabilities = session.run(None, {"token_ids": np.array(ids, dtype=np.int32)})[0].tolist()
    if "Records" not in event:
        return {"statusCode": 200, "body": json.dumps({"probabilities": probabilities})}
    send(probabilities)
    return {"batchItemFailures": []}


def send(results):
    client, url = open_queue()
    entries = [
        {"Id": str(i), "MessageBody": json.dumps(result)} for i, result in enumerate(results)
    ]
    client.send_message_batch(QueueUrl=url, Entries=entries)


@functools.cache
def open_queue():
    import boto3

    client = boto3.client("sqs")
    return client, client.get_queue_url(QueueName="results")["QueueUrl"]
