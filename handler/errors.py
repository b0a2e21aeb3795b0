"""The handler's errors.

HandlerError
├── InvalidInput    the client's fault: a 4xx answer, the message's own failure
├── SettingsError   the operator's: a variable of the environment, raised at start
├── ArtefactError   ours: a bundle that must not serve, raised at start
├── DeliveryError   the world's: a result not sent, an object not read; the event comes again
└── InternalError   ours: what nobody foresaw, named by its kind and place alone
"""


class HandlerError(Exception):
    """Root of everything that the handler raises on purpose."""


class InvalidInput(HandlerError, ValueError):
    """An input that cannot be scored; never holds the input's own text.

    Args:
        detail: One sentence: what came, what was wanted.
        field: Path of the wrong field, for example `texts[3]`; empty for the whole body.
        limit: The limit that was passed, where there is one.
        received: What was measured against the limit.
        status: HTTP status that says the same.
    """

    def __init__(
        self,
        detail: str,
        *,
        field: str = "",
        limit: int | None = None,
        received: int | None = None,
        status: int = 422,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit = limit
        self.received = received
        self.status = status


class SettingsError(HandlerError, ValueError):
    """A variable of the environment that cannot be meant; the message names it."""


class ArtefactError(HandlerError):
    """A bundle that is missing, incomplete, changed, or of a format that this build cannot read."""


class DeliveryError(HandlerError):
    """A step between us and another service failed after its retries: try the event again."""


class InternalError(HandlerError):
    """An error that nobody raised on purpose; its own text, which may quote the input, is left."""


def name_failure(error: Exception) -> str:
    """Return what the log says of an error that nobody raised on purpose: "KeyError at find:71".

    Type and place alone: its own text may quote the input.
    """
    import traceback  # rare, so not at start

    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.name}:{place.lineno}"
