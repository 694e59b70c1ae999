"""Reports the transport's retries to LangChain's callbacks, as `on_retry`."""

from typing import Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from tenacity import RetryCallState, Retrying

from datacrunch_tgi import DataCrunchError


class Retries:
    """Reports the retries of one run as they happen."""

    def __init__(self, run_manager: CallbackManagerForLLMRun | None) -> None:
        self._run_manager = run_manager

    def notify(self, error: DataCrunchError) -> None:
        """Report an error that leads to a retry."""
        if self._run_manager:
            self._run_manager.on_retry(_state(error))


class AsyncRetries:
    """Records the retries of one run in an event loop, because `on_retry` of the client is not async."""

    def __init__(self, run_manager: AsyncCallbackManagerForLLMRun | None) -> None:
        self._run_manager = run_manager
        self._recorded: list[DataCrunchError] = []

    def record(self, error: DataCrunchError) -> None:
        """Record an error that leads to a retry."""
        self._recorded.append(error)

    async def notify(self) -> None:
        """Report what was recorded."""
        recorded, self._recorded = self._recorded, []
        if self._run_manager:
            for error in recorded:
                await self._run_manager.on_retry(_state(error))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.notify()


def _state(error: DataCrunchError) -> RetryCallState:
    """Return the error as LangChain's own retries report it."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = error.requests
    state.set_exception((type(error), error, error.__traceback__))
    return state
