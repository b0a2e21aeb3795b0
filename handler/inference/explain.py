"""Why a prediction: each token's contribution, by occlusion.

Every token in turn is replaced by the unknown token, and all these variants are run in one batch.
The contribution is what the explained output loses (of a single label its probability):
`"good film"` -> good +0.38, film 0.00. It is measured on the model that serves, quantized as it
is; no gradient is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handler.errors import InvalidInput
from handler.inference.classifier import Classifier, Prediction
from handler.settings import Limits


def explain_predictions(
    classifier: Classifier,
    texts: Sequence[str],
    predictions: Sequence[Prediction],
    limits: Limits,
) -> list[list[dict[str, Any]]]:
    """Return, per text, one object a token that the model read, in the order of the text.

    `{"token", "start", "end", "contribution"}`: `texts[i][start:end] == token`, offsets in
    characters (Unicode code points); `contribution`, of a probability -1 to 1, speaks for the
    answer above 0.

    Raises:
        InvalidInput: More tokens in all texts than `limits.max_explained_tokens`.
    """
    encodings = classifier.encode_texts_with_offsets(texts)
    num_tokens = sum(len(encoding.ids) for encoding in encodings)
    if num_tokens > limits.max_explained_tokens:
        raise InvalidInput(
            f"explain: the texts have {num_tokens} tokens, the limit is "
            f"{limits.max_explained_tokens}: explain fewer texts at a time",
            field="explain",
            limit=limits.max_explained_tokens,
            received=num_tokens,
            status=413,
        )
    unknown_id = classifier.manifest.unknown_id
    variants = [
        [*encoding.ids[:position], unknown_id, *encoding.ids[position + 1 :]]
        for encoding in encodings
        for position in range(len(encoding.ids))
    ]
    occluded = iter(classifier.run(variants))
    explanations = []
    for text, encoding, prediction in zip(texts, encodings, predictions, strict=True):
        output = classifier.task.explained_output(prediction.outputs)
        explanations.append(
            [
                {
                    "token": text[start:end],
                    "start": start,
                    "end": end,
                    "contribution": prediction.outputs[output] - float(next(occluded)[output]),
                }
                for start, end in encoding.offsets
            ]
        )
    return explanations
