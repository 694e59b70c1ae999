"""Arguments that other packages add out of habit: dropped or obeyed by meaning, or refused with advice."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.extractors import DocumentContextExtractor
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.schema import NodeRelationship, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]

UNSET = {"temperature": None, "stop": None, "grammar": None, "timeout": None, "temprature": None}
HABITS: dict[str, dict[str, Any]] = {
    "what is None is not set": UNSET,
    "one answer": {"n": 1},
    "headers of another provider": {"extra_headers": {"anthropic-beta": "sk-private"}},
    "no tools": {"tools": [], "tool_choice": "auto", "allow_parallel_tool_calls": False},
    "tools not set": {"tools": None, "tool_choice": None, "parallel_tool_calls": True},
    "plain text": {"response_format": {"type": "text"}, "logprobs": True},
    "penalties of nothing": {"presence_penalty": 0.0, "logit_bias": {}},
    "bookkeeping": {"user": "me", "metadata": {"run": 1}, "store": False, "callbacks": []},
    "arguments in arguments": {"llm_kwargs": None},
}


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS.keys())
async def test_what_changes_no_answer_is_dropped(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask, habit: dict[str, Any]
) -> None:
    """The request is the same as without the arguments."""
    await ask(model)
    await ask(model, **habit)
    plain, other = (request.json for request in endpoint.requests)
    assert other == plain


async def test_arguments_in_llm_kwargs_are_arguments(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Arguments in `llm_kwargs` are sent; direct arguments take precedence."""
    await ask(model, llm_kwargs={"max_tokens": 3, "seed": 1, "n": 1}, seed=2)
    parameters = endpoint.requests[-1].json["parameters"]
    assert (parameters["max_new_tokens"], parameters["seed"]) == (3, 2)


async def test_arguments_under_other_names_are_obeyed(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """OpenAI's names of parameters are accepted."""
    await ask(model, max_completion_tokens=3, top_logprobs=2, logprobs=True)
    parameters = endpoint.requests[-1].json["parameters"]
    assert (parameters["max_new_tokens"], parameters["top_n_tokens"]) == (3, 2)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"n": 2}, r"n=2: must be 1.*batch\(.*acomplete"),
        ({"presence_penalty": 0.5}, "presence_penalty=0.5: is not supported"),
        ({"logit_bias": {"1": 5}}, "logit_bias=.*is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format=.*structured_predict"),
        ({"logprobs": 3}, "logprobs=3: .*use top_n_tokens"),
        ({"functions": [{}]}, "functions=.*chat_with_tools"),
        ({"tool_choice": "required"}, "tool_choice='required': requires tools"),
        ({"extra_body": {"top_a": 1}}, "extra_body=.*use extra_parameters"),
        ({"image_documents": ["a.png"]}, "image_documents=.*ImageBlock"),
        ({"llm_kwargs": [1]}, "llm_kwargs=.*must be a dict"),
        ({"temprature": 1}, "temprature: no such parameter; did you mean 'temperature'"),
    ],
)
async def test_what_would_change_the_answer_is_refused_with_advice(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask, argument: dict[str, Any], expected: str
) -> None:
    """Unsupported arguments are refused with advice, before any request."""
    with pytest.raises(ArgumentError, match=expected):
        await ask(model, **argument)
    assert not endpoint.requests


def test_a_completion_takes_no_tools(model: DataCrunch) -> None:
    """`complete` refuses tools and names `chat_with_tools`."""
    with pytest.raises(ArgumentError, match=r"tools=.*chat_with_tools"):
        model.complete("Hi", tools=[{"type": "function"}])  # type: ignore[call-arg]  # the test's point


async def test_no_event_records_headers(model: DataCrunch, ask: Ask) -> None:
    """Tracers record a call's arguments; headers may hold keys."""
    seen = list[str]()

    class Recorder(BaseEventHandler):
        def handle(self, event: BaseEvent, **_: Any) -> None:
            seen.append(event.model_dump_json())

    handler = Recorder()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(handler)
    try:
        await ask(model, extra_headers={"Authorization": "Bearer sk-private"})
    finally:
        dispatcher.event_handlers.remove(handler)
    assert seen
    assert "sk-private" not in "".join(seen)


def test_cores_context_extractor_works(endpoint: EmulatedEndpoint) -> None:
    """LlamaIndex's document context extractor works."""
    document = Document(text="Chapter 1. It contains important information.")
    source = {NodeRelationship.SOURCE: document.as_related_node_info()}
    node = TextNode(text="It contains", relationships=source)
    store = SimpleDocumentStore()
    store.add_documents([document])
    llm = DataCrunch(base_url=endpoint.url, model="llama-2-13b-chat")
    extractor = DocumentContextExtractor(
        docstore=store, llm=llm, max_context_length=1000, max_output_tokens=100
    )
    assert extractor.extract([node]) == [{"context": "Hello there, my friend"}]
    assert endpoint.requests[-1].json["parameters"]["max_new_tokens"] == 100


def test_positional_messages_and_keywords_are_the_same(
    model: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """Messages may be positional or a keyword."""
    question = [ChatMessage("Hi")]
    model.chat(question)
    model.chat(messages=question)
    first, second = (request.json for request in endpoint.requests)
    assert first == second
