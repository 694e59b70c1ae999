"""Spans of the usual OpenTelemetry instrumentors: model, tokens, finish reason, errors, and never the key."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from datacrunch_tgi import DataCrunchError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from llamaindex_datacrunch import DataCrunch

# LlamaIndex's instrumentor calls it, and would lose its span to the warning.
pytestmark = pytest.mark.filterwarnings("ignore:The `json` method is deprecated")

KEY = "sk-0123456789/abcdefghij"
Spans = Callable[[], list[ReadableSpan]]


@pytest.fixture
def endpoint() -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(answers="Hello there") as endpoint:
        yield endpoint


@pytest.fixture
def spans(instrumentor: Any) -> Iterator[Spans]:
    """Collect the spans of an instrumentor; none of them holds the key."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    yield lambda: list(exporter.get_finished_spans())
    instrumentor.uninstrument()
    written = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert written
    assert KEY not in written
    assert KEY[:12] not in written


def langchain_chat(settings: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    chat = ChatDataCrunch(**settings)

    async def achunks() -> None:
        assert [chunk async for chunk in chat.astream("Hi")]

    return {
        "whole": lambda: chat.invoke("Hi"),
        "stream": lambda: list(chat.stream("Hi")),
        "awaited": lambda: asyncio.run(_await(chat.ainvoke("Hi"))),
        "async stream": lambda: asyncio.run(achunks()),
    }


def langchain_llm(settings: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    llm = DataCrunchLLM(**settings)
    return {
        "whole": lambda: llm.invoke("Hi"),
        # LangChain's own `stream` of an LLM reports no `llm_output`, where the instrumentor looks for tokens.
        "streamed": lambda: llm.invoke("Hi", streaming=True),
        "awaited": lambda: asyncio.run(_await(llm.ainvoke("Hi"))),
    }


def llamaindex(settings: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    llm, messages = DataCrunch(**settings), [ChatMessage("Hi")]

    async def aresponses() -> None:
        assert [response async for response in await llm.astream_chat(messages)]

    return {
        "whole": lambda: llm.chat(messages),
        "completion": lambda: llm.complete("Hi"),
        "stream": lambda: list(llm.stream_chat(messages)),
        "awaited": lambda: asyncio.run(_await(llm.achat(messages))),
        "async stream": lambda: asyncio.run(aresponses()),
    }


async def _await(awaitable: Any) -> Any:
    return await awaitable


FRAMEWORKS = [
    pytest.param(LangChainInstrumentor(), langchain_chat, id="langchain-chat"),
    pytest.param(LangChainInstrumentor(), langchain_llm, id="langchain-llm"),
    pytest.param(LlamaIndexInstrumentor(), llamaindex, id="llamaindex"),
]


@pytest.mark.parametrize(("instrumentor", "calls"), FRAMEWORKS)
def test_a_span_has_model_tokens_and_finish_reason(
    spans: Spans, endpoint: EmulatedEndpoint, calls: Any
) -> None:
    """Spans of every method have OpenInference's attributes."""
    settings = {"base_url": endpoint.url, "api_key": KEY, "model": "llama-2-7b-chat"}
    for name, call in calls(settings).items():
        before = len(spans())
        call()
        (span,) = spans()[before:]
        reported = dict(span.attributes or {})
        assert span.status.status_code == StatusCode.OK, name
        assert reported["openinference.span.kind"] == "LLM", name
        assert reported["llm.model_name"] == "llama-2-7b-chat", name
        assert reported["llm.finish_reason"] == "stop", name
        prompt, completion = (
            reported["llm.token_count.prompt"],
            reported["llm.token_count.completion"],
        )
        assert completion == 3, name
        assert reported["llm.token_count.total"] == prompt + completion, name  # type: ignore[operator]  # numbers
        assert "Hello there" in str(reported["output.value"]), name


@pytest.mark.parametrize(("instrumentor", "calls"), FRAMEWORKS)
def test_a_span_has_the_error(spans: Spans, endpoint: EmulatedEndpoint, calls: Any) -> None:
    """With its request id, and without what the server repeats of the key."""
    settings = {"base_url": endpoint.url, "api_key": KEY, "model": "llama-2-7b-chat"}
    for name, call in calls(settings).items():
        before = len(spans())
        body = {"error": f"{KEY} is unknown", "error_type": "validation"}
        endpoint.fail_next(status=422, body=body, headers={"X-Request-Id": "id-1"})
        with pytest.raises(DataCrunchError):
            call()
        (span,) = spans()[before:]
        assert span.status.status_code == StatusCode.ERROR, name
        (event,) = [event for event in span.events if event.name == "exception"]
        assert "request id id-1" in str((event.attributes or {})["exception.message"]), name


@pytest.mark.parametrize("instrumentor", [HTTPXClientInstrumentor()], ids=["httpx"])
def test_a_span_of_httpx_has_method_url_and_status(
    spans: Spans, endpoint: EmulatedEndpoint
) -> None:
    """For each attempt one, as the default engine sends requests by httpx's transports."""
    settings: Any = {"base_url": endpoint.url, "api_key": KEY, "model": "llama-2-7b-chat"}
    for name, call in langchain_chat(settings).items():
        before = len(spans())
        endpoint.fail_next(status=503, headers={"Retry-After": "0"})
        call()
        statuses = [(span.attributes or {})["http.status_code"] for span in spans()[before:]]
        assert statuses == [503, 200], name
        url = str((spans()[-1].attributes or {})["http.url"])
        assert url.startswith(f"{endpoint.url}/generate"), name
