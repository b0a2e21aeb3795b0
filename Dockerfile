# The HTTP service under uvicorn: for any container host, SageMaker and Vertex AI.
#
#   docker build -t minnow . && docker run --rm --read-only -p 8080:8080 minnow
#
# A bundle of your own: --build-arg BUNDLE=bundles/mine, or at run time
#   -v "$PWD/bundles/mine:/bundle:ro" -e MINNOW_BUNDLE=/bundle
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
COPY handler/requirements.txt /build/
RUN python -m pip install --no-cache-dir --no-compile --require-hashes \
        --target /app -r /build/requirements.txt \
    && rm -rf /app/bin /app/onnxruntime/transformers /app/onnxruntime/quantization \
        /app/onnxruntime/tools /app/onnxruntime/datasets
COPY handler /app/handler
ARG BUNDLE=handler/model
COPY ${BUNDLE} /app/handler/model
# Byte code is made here: the root file system is read-only when it runs.
RUN python -m compileall -q /app

FROM ${BASE}
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /app /app
# A number, so that Kubernetes can check that it is not root.
USER 65532:65532
EXPOSE 8080
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["python", "-c", \
    "import urllib.request as u; from handler.hosts.server import read_port; import os; u.urlopen(f'http://127.0.0.1:{read_port(os.environ)}/v2/health/ready', timeout=4)"]
# SageMaker appends the word `serve`, which changes nothing.
ENTRYPOINT ["python", "-m", "handler.hosts.server"]
