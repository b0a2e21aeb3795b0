"""BentoML: a worker for each core.

Run: bentoml serve benchmarks.baselines.peers.bentoml_app:Reviews --port PORT
"""

import bentoml

from benchmarks.baselines.peers.model import CORES, classify, load


@bentoml.service(workers=CORES, logging={"access": {"enabled": False}})
class Reviews:
    def __init__(self) -> None:
        self.classifier = load()

    @bentoml.api
    def predict(self, text: str) -> dict:
        return classify(self.classifier, [text])[0]
