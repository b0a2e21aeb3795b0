"""Beam: RunInference over lines of text, one JSON object a line out."""

import json
import sys

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

import minnow


class Handler(ModelHandler):
    def load_model(self):
        return minnow.Scorer(sys.argv[1])

    def run_inference(self, batch, model, inference_args=None):
        return zip(batch, model.predict(batch), strict=True)


with beam.Pipeline() as pipeline:
    answers = pipeline | beam.io.ReadFromText(sys.argv[2]) | RunInference(Handler())
    answers | beam.Map(json.dumps) | beam.io.WriteToText(sys.argv[3])
