"""AWS's durable execution SDK, as a run uses it: what is done is written down, and done once.

Every operation is named, and numbered by its run: at a replay the SDK finds what it had by the
order of the calls, and refuses one of another name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aws_durable_execution_sdk_python import (
    CallbackError,
    DurableContext,
    InvokeError,
    StepError,
    WaitForConditionError,
    WithRetryConfig,
    with_retry,
)
from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    CompletionConfig,
    Duration,
    JitterStrategy,
    MapConfig,
    NestingType,
    StepConfig,
)
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_wait_strategy,
)

from handler.errors import DeliveryError, HandlerError, InternalError, name_failure
from handler.objects.source import ObjectChanged

CONCURRENCY = 5  # branches at a time: the dev stack reserves so many environments
INVOKE_ATTEMPTS = 3
STEP_ATTEMPTS = 4
FIRST_DELAY_S = 10  # then twice as long each time
# Of an object that outlasts an invocation, until its result stands: a day.
POLLS, POLL_S = 288, 300
# What one operation that failed for good raises.
FAILURES = (InvokeError, StepError, WaitForConditionError)
# Errors that the same call raises again; InvalidInput and SettingsError are ValueErrors too.
FINAL = ("InvalidInput", "SettingsError", "ArtefactError")


def run_step(
    context: DurableContext, name: str, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Return what a function returns, or had returned: JSON, 256 KB at most.

    Raises:
        StepError: It failed for good; its message is that of an error of ours, as no other is told
            to the SDK, which logs it.
    """

    def guarded(_: object) -> Any:
        try:
            return function(*arguments)
        except ObjectChanged:
            failure: HandlerError = DeliveryError("an object changed while it was read")
        except HandlerError as error:
            failure = error
        except Exception as error:  # whose text may be a row's
            failure = InternalError(f"an error that nobody foresaw: {name_failure(error)}")
        failure.__cause__ = failure.__context__ = None
        raise failure

    retry = partial(_decide, attempts=STEP_ATTEMPTS)
    return context.step(guarded, name, StepConfig(retry_strategy=retry))


def invoke(context: DurableContext, name: str, function: str, event: dict[str, Any]) -> Any:
    """Return another function's answer; meanwhile this one is suspended, and costs nothing.

    Raises:
        InvokeError: It failed for good.
    """
    retry = partial(_decide, attempts=INVOKE_ATTEMPTS)
    config: WithRetryConfig[Any] = WithRetryConfig(
        retry_strategy=retry, wrap_with_run_in_child_context=False
    )
    return with_retry(context, lambda inner, _: inner.invoke(function, event, name), config, name)


def map_items(
    context: DurableContext, name: str, function: Callable[..., Any], items: Sequence[Any]
) -> list[Any]:
    """Return what `function(context, item, index, items)` returns for each item, in order.

    A branch is no operation of its own: of those an execution has 3,000.
    """
    config: MapConfig[Any] = MapConfig(
        max_concurrency=CONCURRENCY,
        completion_config=CompletionConfig.all_completed(),
        nesting_type=NestingType.FLAT,
    )
    batch = context.map(items, function, name, config)
    batch.throw_if_error()
    return [*batch.get_results()]


def poll(context: DurableContext, name: str, check: Callable[[], bool]) -> None:
    """Return when `check` says so, asked every five minutes.

    Raises:
        WaitForConditionError: It did not for a day.
    """
    strategy = create_wait_strategy(
        WaitStrategyConfig(
            should_continue_polling=lambda is_met: not is_met,
            max_attempts=POLLS,
            initial_delay=Duration(POLL_S),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )

    def ask(*_: object) -> bool:
        try:
            return check()
        except DeliveryError:  # which may pass until it is asked again
            return False

    config = WaitForConditionConfig(wait_strategy=strategy, initial_state=False)
    context.wait_for_condition(ask, config, name)


def create_callback(context: DurableContext, name: str, days: float) -> Any:
    """Return a callback that is waited for so long: its `callback_id` is for who calls back."""
    return context.create_callback(name, CallbackConfig(timeout=Duration.from_days(days)))


def wait_for(callback: Any) -> bool:
    """Wait for a callback; return False where none came in time, or a failure was called back."""
    try:
        callback.result()
    except CallbackError:
        return False
    return True


def _decide(error: Exception, attempt: int, *, attempts: int) -> RetryDecision:
    """Say whether to try again: not what fails again whenever it is tried."""
    kind = getattr(error, "error_type", type(error).__name__) or ""
    if attempt >= attempts or kind.rpartition(".")[2] in FINAL:
        return RetryDecision.no_retry()
    return RetryDecision.retry(Duration(FIRST_DELAY_S * 2 ** (attempt - 1)))
