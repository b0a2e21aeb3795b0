"""LitServe: a worker for each core; what waits is put in one batch.

Run: python -m benchmarks.baselines.peers.litserve_app PORT
"""

import sys

import litserve

from benchmarks.baselines.peers.model import CORES, MAX_BATCH, classify, load


class Reviews(litserve.LitAPI):
    def setup(self, device):
        self.classifier = load()

    def decode_request(self, request):
        return request["text"]

    def batch(self, inputs):
        return inputs

    def predict(self, texts):
        return classify(self.classifier, texts)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = Reviews(max_batch_size=MAX_BATCH, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=CORES)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=CORES,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
