"""LangChain's methods with the keyword arguments of these models, for type checkers and editors."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Unpack

from langchain_core.callbacks import Callbacks
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig

from langchain_datacrunch._arguments import (
    ChatCall,
    ChatGenerateCall,
    CompletionCall,
    GenerateCall,
)
from langchain_datacrunch._prompts import ChatPrompts
from langchain_datacrunch._runs import RunPerPrompt


class CompletionCalls(RunPerPrompt):
    """The calls of `DataCrunchLLM`."""

    if TYPE_CHECKING:

        def invoke(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[CompletionCall],
        ) -> str:
            """Generate the answer to an input. Keyword arguments are parameters of this call."""
            ...

        async def ainvoke(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[CompletionCall],
        ) -> str:
            """Generate the answer to an input: see `invoke`."""
            ...

        def stream(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[CompletionCall],
        ) -> Iterator[str]:
            """Generate the answer to an input token by token: see `invoke`."""
            ...

        def astream(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[CompletionCall],
        ) -> AsyncIterator[str]:
            """Generate the answer to an input token by token: see `invoke`."""
            ...

        def batch(  # type: ignore[override]
            self,
            inputs: list[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Unpack[CompletionCall],
        ) -> list[str]:
            """Generate the answers to several inputs, at the same time: see `invoke`."""
            ...

        async def abatch(  # type: ignore[override]
            self,
            inputs: list[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Unpack[CompletionCall],
        ) -> list[str]:
            """Generate the answers to several inputs, at the same time: see `invoke`."""
            ...

        def generate(  # type: ignore[override]
            self,
            prompts: list[str],
            stop: list[str] | None = None,
            callbacks: Callbacks | list[Callbacks] | None = None,
            **kwargs: Unpack[GenerateCall],
        ) -> LLMResult:
            """Generate the answers to several prompts, at the same time."""
            ...

        async def agenerate(  # type: ignore[override]
            self,
            prompts: list[str],
            stop: list[str] | None = None,
            callbacks: Callbacks | list[Callbacks] | None = None,
            **kwargs: Unpack[GenerateCall],
        ) -> LLMResult:
            """Generate the answers to several prompts, at the same time."""
            ...


class ChatCalls(ChatPrompts):
    """The calls of `ChatDataCrunch`."""

    if TYPE_CHECKING:

        def invoke(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[ChatCall],
        ) -> AIMessage:
            """Generate the answer to an input. Keyword arguments are parameters of this call."""
            ...

        async def ainvoke(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[ChatCall],
        ) -> AIMessage:
            """Generate the answer to an input: see `invoke`."""
            ...

        def stream(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[ChatCall],
        ) -> Iterator[AIMessageChunk]:
            """Generate the answer to an input token by token: see `invoke`."""
            ...

        def astream(  # type: ignore[override]
            self,
            input: LanguageModelInput,  # noqa: A002 -- LangChain's name
            config: RunnableConfig | None = None,
            **kwargs: Unpack[ChatCall],
        ) -> AsyncIterator[AIMessageChunk]:
            """Generate the answer to an input token by token: see `invoke`."""
            ...

        def batch(  # type: ignore[override]
            self,
            inputs: list[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Unpack[ChatCall],
        ) -> list[AIMessage]:
            """Generate the answers to several inputs, at the same time: see `invoke`."""
            ...

        async def abatch(  # type: ignore[override]
            self,
            inputs: list[LanguageModelInput],
            config: RunnableConfig | list[RunnableConfig] | None = None,
            *,
            return_exceptions: bool = False,
            **kwargs: Unpack[ChatCall],
        ) -> list[AIMessage]:
            """Generate the answers to several inputs, at the same time: see `invoke`."""
            ...

        def generate(  # type: ignore[override]
            self,
            messages: list[list[BaseMessage]],
            stop: list[str] | None = None,
            callbacks: Callbacks = None,
            **kwargs: Unpack[ChatGenerateCall],
        ) -> LLMResult:
            """Generate the answers to several conversations, one after another."""
            ...

        async def agenerate(  # type: ignore[override]
            self,
            messages: list[list[BaseMessage]],
            stop: list[str] | None = None,
            callbacks: Callbacks = None,
            **kwargs: Unpack[ChatGenerateCall],
        ) -> LLMResult:
            """Generate the answers to several conversations, at the same time."""
            ...
