"""Baseline: FastAPI + Mangum + ONNX Runtime as everybody writes it, everything imported at once."""

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

MODEL = Path(__file__).parent / "model"
WORD_IDS = json.loads((MODEL / "words.json").read_text("utf-8"))
TOKEN = re.compile(r"\w+|[^\w\s]")
session = ort.InferenceSession(str(MODEL / "model.onnx"))
app = FastAPI()


class PredictRequest(BaseModel):
    text: str


class PredictResponse(BaseModel):
    label: int
    probability: float


@app.post("/predict", response_model=PredictResponse)
def predict(request: PredictRequest):
    tokens = TOKEN.findall(request.text.lower())
    ids = np.array([[WORD_IDS.get(token, 1) for token in tokens]], dtype=np.int32)
    probabilities = session.run(None, {"token_ids": ids})[0][0]
    label = int(probabilities.argmax())
    return PredictResponse(label=label, probability=float(probabilities[label]))


handler = Mangum(app)
