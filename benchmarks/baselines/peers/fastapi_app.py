"""Plain FastAPI: a `def` endpoint, which runs in the thread pool.

Run: uvicorn benchmarks.baselines.peers.fastapi_app:app --port PORT [--workers N]
"""

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.baselines.peers.model import classify, load

app = FastAPI()
classifier = load()


class Review(BaseModel):
    text: str


@app.post("/predict")
def predict(review: Review) -> dict[str, object]:
    return classify(classifier, [review.text])[0]
