"""Baseline: FastAPI + Mangum + ONNX Runtime as everybody writes it, everything imported at once."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel
from tokenizers import Tokenizer

MODEL = Path(__file__).parent / "model"
tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
session = ort.InferenceSession(str(MODEL / "model.onnx"))
app = FastAPI()


class PredictRequest(BaseModel):
    text: str


class PredictResponse(BaseModel):
    label: int
    probability: float


@app.post("/predict", response_model=PredictResponse)
def predict(request: PredictRequest):
    ids = np.array([tokenizer.encode(request.text).ids], dtype=np.int32)
    probabilities = session.run(None, {"token_ids": ids})[0][0]
    label = int(probabilities.argmax())
    return PredictResponse(label=label, probability=float(probabilities[label]))


handler = Mangum(app)
