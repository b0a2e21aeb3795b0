"""Stock clients of the protocols, unmodified, against a real server on loopback."""

import asyncio

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

SCORE = pytest.approx(0.880797, abs=1e-5)
REST = pytest.approx(0.119203, abs=1e-5)


def make_input(texts, binary):
    tensor = triton.InferInput("text", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
    return tensor


@pytest.fixture
def triton_client(server):
    client = triton.InferenceServerClient(server.address)
    yield client
    client.close()


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritonclient_infers(triton_client, binary_in, binary_out, compression):
    names = ("probabilities", "label", "score")
    outputs = [triton.InferRequestedOutput(name, binary_data=bool(binary_out)) for name in names]

    result = triton_client.infer(
        "tiny",
        [make_input(["good film", "bad 🙂"], binary_in)],
        request_id="42",
        outputs=None if binary_out is None else outputs,
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )

    assert result.get_response()["id"] == "42"
    labels = [x.decode() if isinstance(x, bytes) else x for x in result.as_numpy("label")]
    assert labels == ["pos", "neg"]
    assert result.as_numpy("score").tolist() == [SCORE, SCORE]
    assert result.as_numpy("probabilities").tolist() == [[SCORE, REST], [REST, SCORE]]


def test_tritonclient_gets_only_the_outputs_it_asks_for(triton_client):
    result = triton_client.infer(
        "tiny", [make_input(["good"], True)], outputs=[triton.InferRequestedOutput("score")]
    )

    assert [output["name"] for output in result.get_response()["outputs"]] == ["score"]


def test_tritonclient_reads_health_and_metadata(triton_client):
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("tiny")
    assert triton_client.is_model_ready("tiny", "1")
    assert not triton_client.is_model_ready("other")
    assert triton_client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = triton_client.get_model_metadata("tiny", "1")
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["limits"]["max_texts"] == 4


def test_tritonclient_understands_a_refusal(triton_client):
    with pytest.raises(InferenceServerException, match=r"inputs\[0\] has 5 texts, the limit is 4"):
        triton_client.infer("tiny", [make_input(["a"] * 5, True)])


# kserve's import leaves warnings of its own dependencies behind.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_kserve_client_infers(server, protocol):
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    async def run():
        client = InferenceRESTClient(RESTConfig(protocol=protocol))
        if protocol == "v1":
            answer = await client.infer(server.url, {"instances": ["good film"]}, "tiny")
            label = answer["predictions"][0]["label"]
        else:
            assert await client.is_server_ready(server.url)
            assert await client.is_server_live(server.url)
            tensor = InferInput("text", [1], "BYTES")
            tensor.set_data_from_numpy(np.array(["good film"], dtype=object), binary_data=True)
            answer = await client.infer(server.url, InferRequest("tiny", [tensor]), "tiny")
            (label,) = answer.get_output_by_name("label").data
        is_ready = await client.is_model_ready(server.url, "tiny")
        await client.close()
        return label, is_ready

    assert asyncio.run(run()) == ("pos", True)


def test_hugging_face_client_classifies(server):
    client = InferenceClient(model=server.url, token="hf_none")

    found = client.text_classification("bad film")

    assert [(element.label, element.score) for element in found] == [("neg", SCORE), ("pos", REST)]


def test_hugging_face_client_passes_its_parameters(server):
    client = InferenceClient(model=server.url, token="hf_none")

    found = client.text_classification("bad film", top_k=1, function_to_apply="none")

    assert [(element.label, element.score) for element in found] == [
        ("neg", pytest.approx(2.0, abs=1e-5))  # the log odds of softmax(0, 2)
    ]


def test_hugging_face_client_shows_a_refusal(server):
    client = InferenceClient(model=server.url, token="hf_none")

    with pytest.raises(HfHubHTTPError, match="inputs has 101 characters, the limit is 100"):
        client.text_classification("a" * 101)
