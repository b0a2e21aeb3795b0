"""The OpenAPI document of an application, as requests are generated from it."""

import schemathesis
from schemathesis import GenerationMode
from schemathesis.config import OperationConfig


def read_schema(app):
    """Return the schema that schemathesis generates from, right requests and wrong ones."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    checks = schema.config.checks
    # A limit of ours is passed: neither "invalid" nor "server error".
    rejection = checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "413"]
    # JSON Schema cannot say that a tensor's shape fits its data, nor count tokens to explain.
    acceptance = checks.positive_data_acceptance
    acceptance.expected_statuses = accepted = [*acceptance.expected_statuses, "413", "422"]
    # SageMaker's bodies of CSV and JSON Lines have no schema, and get a 400 if they are neither.
    invocations = {"positive_data_acceptance": {"expected-statuses": [*accepted, "400"]}}
    schema.config.operations.operations.append(
        OperationConfig.from_dict({"include-path": "/invocations", "checks": invocations})
    )
    return schema
