"""What the transport tries again, told to LangChain's callbacks as `on_retry`."""

from typing import Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from tenacity import RetryCallState, Retrying

from datacrunch_tgi import DataCrunchError


class Retries:
    """The retries of one run, told before each."""

    def __init__(self, run_manager: CallbackManagerForLLMRun | None) -> None:
        self._run_manager = run_manager

    def tell(self, error: DataCrunchError) -> None:
        """Tell the error after which the request is sent again."""
        if self._run_manager:
            self._run_manager.on_retry(_state(error))


class AsyncRetries:
    """The retries of one run in an event loop, where callbacks cannot be waited for in their midst."""

    def __init__(self, run_manager: AsyncCallbackManagerForLLMRun | None) -> None:
        self._run_manager = run_manager
        self._untold: list[DataCrunchError] = []

    def keep(self, error: DataCrunchError) -> None:
        """Keep the error after which the request is sent again."""
        self._untold.append(error)

    async def tell(self) -> None:
        """Tell what was kept."""
        untold, self._untold = self._untold, []
        if self._run_manager:
            for error in untold:
                await self._run_manager.on_retry(_state(error))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tell()


def _state(error: DataCrunchError) -> RetryCallState:
    """The error in the form in which LangChain's own retries tell it."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = error.requests
    state.set_exception((type(error), error, error.__traceback__))
    return state
