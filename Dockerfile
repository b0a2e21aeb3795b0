# The HTTP service under uvicorn: for any container host, SageMaker and Vertex AI.
#
#   docker build -t minnow . && docker run --rm --read-only -p 8080:8080 minnow
#
# A bundle of your own: --build-arg BUNDLE=bundles/mine, or at run time
#   -v "$PWD/bundles/mine:/bundle:ro" -e MINNOW_BUNDLE=/bundle
# To check its signature (MINNOW_TRUSTED_KEYS): --build-arg SIGNING=1
#
# By its digest (for amd64 and arm64) as the registry had it on 2026-10-06; `make pin-images` finds
# a newer one. Another base, with Python 3.12 or newer and pip: --build-arg BASE=...
ARG BASE=docker.io/library/python:3.12.15-slim-trixie@sha256:a6e34c598f2467ed0e9a8d349809fcd8b5c603269512df273a0bb1784edc11b1

FROM ${BASE} AS build
# The packages first: another bundle, or other code, does not fetch them again.
COPY handler/package.py handler/requirements.txt /build/
ARG SIGNING=
RUN PYTHONHASHSEED=0 python -B /build/package.py --host container --out /app --only packages \
    ${SIGNING:+--signing}
COPY handler /build/handler
ARG BUNDLE=handler/model
COPY ${BUNDLE} /build/bundle
RUN PYTHONHASHSEED=0 python -B /build/handler/package.py --host container --out /app --only handler \
    --bundle /build/bundle

FROM ${BASE}
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /app /app
# A number, so that Kubernetes can check that it is not root.
USER 65532:65532
EXPOSE 8080
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
    CMD ["python", "-I", "-S", "/app/handler/hosts/health.py"]
# SageMaker appends the word `serve`, which changes nothing.
ENTRYPOINT ["python", "-m", "handler.hosts.server"]
