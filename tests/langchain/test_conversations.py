"""Conversations as they come: any history, any part of one, and what a server reports of its model."""

import logging
import pickle
from collections.abc import Awaitable, Callable
from datetime import date
from functools import reduce
from itertools import product
from operator import add
from typing import Any

import pytest
from langchain_core._api import suppress_langchain_deprecation_warning
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
    trim_messages,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.prompts import ChatPromptTemplate

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from tests.conftest import TEMPLATES

Call = Callable[..., Awaitable[Any]]
Serve = Callable[..., EmulatedEndpoint]
EACH_TEMPLATE = pytest.mark.parametrize("template", TEMPLATES)
TEXT = {"type": "text", "text": "Let me see."}
CALLS: Any = [{"name": "f", "args": {"a": 1}, "id": "1"}]
ANSWERS: dict[str, AIMessage] = {
    "text and calls": AIMessage("Let me see.", tool_calls=CALLS),
    "tool_use": AIMessage([TEXT, {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]),
    "function_call": AIMessage(
        [TEXT, {"type": "function_call", "name": "f", "arguments": '{"a": 1}', "call_id": "1"}]
    ),
    "reasoning_content": AIMessage([{"type": "reasoning_content", "reasoning_content": {}}, TEXT]),
    "server_tool_use": AIMessage([{"type": "server_tool_use", "id": "1", "name": "s"}, TEXT]),
    "web_search_call": AIMessage([{"type": "web_search_call", "id": "1"}, TEXT]),
    "executable_code": AIMessage([{"type": "executable_code", "executable_code": "1"}, TEXT]),
    "citations": AIMessage([{**TEXT, "citations": [{"url": "http://x"}]}]),
    "a cache marker": AIMessage([TEXT, {"cachePoint": {"type": "default"}}]),
    "refusal": AIMessage([{"type": "refusal", "refusal": "Let me see."}]),
    "bedrock": AIMessage([{"text": "Let me see."}, {"toolUse": {"name": "f"}}], tool_calls=CALLS),
}


def sent(endpoint: EmulatedEndpoint) -> str:
    return str(endpoint.requests[-1].json["inputs"])


@pytest.mark.parametrize("template", ["llama-3.1", "mistral-v7", "deepseek-v3.1", "llama-2"])
def test_the_sum_of_a_stream_goes_back_as_a_message(serve: Serve, template: str) -> None:
    """Chunks are sent as the messages that they are, and arguments that are no JSON as text."""
    endpoint = serve(answers="Sunny.", max_input_tokens=4000, max_total_tokens=5000)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=template)
    day = {"day": date(2026, 11, 28)}
    calls = [tool_call(name="weather", args=day, id="1"), tool_call(name="", args={}, id="2")]
    chunk = tool_call_chunk(name="weather", args='{"day": "2026-11-28"}', id="1", index=0)
    history = [
        SystemMessage("Be kind."),
        HumanMessage("How is it?"),
        AIMessage("", tool_calls=calls),
        ToolMessage("Rain.", tool_call_id="1"),
    ]
    chunks = [
        SystemMessageChunk(content="Be kind."),
        HumanMessageChunk(content="How is it?"),
        AIMessageChunk(content="", tool_call_chunks=[chunk]),
        ToolMessageChunk(content="Rain.", tool_call_id="1"),
    ]
    for given in (history, chunks):
        assert chat.invoke(given).text == "Sunny."
    first, second = (request.json["inputs"] for request in endpoint.requests)
    assert first == second
    assert "2026-11-28" in first


@EACH_TEMPLATE
async def test_an_answer_of_another_provider_goes_back_as_text_and_calls(
    endpoint: EmulatedEndpoint, call: Call, template: str
) -> None:
    """Answers of other providers are sent as text and tool calls."""
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=template)
    for name, message in ANSWERS.items():
        called = name in {"text and calls", "tool_use", "function_call", "bedrock"}
        results = [ToolMessage("seven", tool_call_id="1")] if called else []
        await call(chat, "invoke", [HumanMessage("q"), message, *results, HumanMessage("Thanks")])
        prompt = sent(endpoint)
        assert prompt.count("Let me see.") == 1, name
        assert "Thanks" in prompt, name
        assert ("seven" in prompt) == called, name
        foreign = ("http://x", "server_tool", "cachePoint", "refusal")
        assert not any(word in prompt for word in foreign), name


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (HumanMessage([{"type": "audio", "base64": "AA=="}]), "'audio'"),
        (HumanMessage([{"type": "file", "url": "http://x"}]), "'file'"),
        (HumanMessage([{"type": "image_url", "image_url": {}}]), "'image_url'"),
        (HumanMessage([{"type": "image", "file_id": "f"}]), "'image'"),
        (HumanMessage([{"type": "image", "url": "http://x/a.png"}]), "supports_images"),
    ],
)
async def test_what_cannot_be_left_out_is_named_with_its_message(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, message: Any, named: str
) -> None:
    """Unsupported content is refused with the message's index and the type."""
    with pytest.raises(ArgumentError, match=rf"^messages\[1\].*{named}"):
        await call(chat, "invoke", [SystemMessage("Be brief."), message])
    assert not endpoint.requests


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGES: list[dict[str, Any]] = [
    {"type": "image", "url": "https://example.org/a.png"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    {"type": "image_url", "image_url": "https://example.org/a.png"},
    {"type": "image", "base64": PNG, "mime_type": "image/png"},
    {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
]


@pytest.mark.parametrize("image", IMAGES)
async def test_an_image_is_sent_as_markdown_to_a_model_that_reads_images(
    endpoint: EmulatedEndpoint, call: Call, image: Any
) -> None:
    """Images are sent as Markdown if the model reads images."""
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template="chatml", supports_images=True)
    await call(chat, "invoke", [HumanMessage(["What is this? ", image])])
    url = "https://example.org/a.png" if "example" in str(image) else f"data:image/png;base64,{PNG}"
    assert f"What is this? ![]({url})" in sent(endpoint)


HISTORY: list[BaseMessage] = [
    SystemMessage("You are brief."),
    HumanMessage("Hi there"),
    AIMessage("Hello, how are you?"),
    HumanMessage("Tell me a joke about cats please"),
    AIMessage("", tool_calls=[{"name": "joke", "args": {}, "id": "1"}]),
    ToolMessage("a cat joke", tool_call_id="1"),
    AIMessage("Here is one"),
    HumanMessage("Another"),
]


@EACH_TEMPLATE
def test_any_part_of_a_conversation_is_counted(template: str) -> None:
    """Tokens of any slice of a conversation can be counted, as `trim_messages` does."""
    chat = ChatDataCrunch(
        base_url="http://localhost", chat_template=template, tokenizer=str.split, model="mine"
    )
    count = chat.get_num_tokens_from_messages
    assert count([]) == 0
    parts: list[list[BaseMessage]] = [HISTORY[a:b] for a in range(8) for b in range(a + 1, 9)]
    parts += [HISTORY[::-1], [FunctionMessage(content="x", name="f")]]
    for part in parts:
        assert count(part) > 0
    ways: list[dict[str, Any]] = [
        {"strategy": "last"},
        {"strategy": "last", "start_on": "human", "include_system": True},
        {"strategy": "last", "end_on": ("human", "tool")},
        {"strategy": "first"},
        {"strategy": "first", "allow_partial": True},
        {"strategy": "last", "allow_partial": True},
    ]
    most = min(25, count(HISTORY) - 1)
    for options in ways:
        trimmed = trim_messages(HISTORY, max_tokens=most, token_counter=chat, **options)
        assert len(trimmed) < len(HISTORY)
        assert count(trimmed) <= most


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@EACH_TEMPLATE
def test_memories_that_count_tokens_prune_a_conversation(
    endpoint: EmulatedEndpoint, template: str
) -> None:
    """LangChain's memories that count tokens work."""
    from langchain_classic.chains import ConversationChain  # noqa: PLC0415 -- it warns
    from langchain_classic.memory import (  # noqa: PLC0415
        ConversationSummaryBufferMemory,
        ConversationTokenBufferMemory,
    )

    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=template, tokenizer=str.split)
    for memory, limit in product(
        (ConversationSummaryBufferMemory, ConversationTokenBufferMemory), (10, 2)
    ):
        with suppress_langchain_deprecation_warning():
            kept = memory(llm=chat, max_token_limit=limit)
            chain: Any = ConversationChain(llm=chat, memory=kept)
        for _ in range(3):
            assert chain.predict(input="Hello my friend") == "Hello there, my friend"


MODELS = {
    "meta-llama/Llama-2-7b-chat-hf": "[INST] Hi [/INST]",
    "HuggingFaceH4/zephyr-7b-beta": "<|user|>\nHi</s>\n<|assistant|>\n",
}


@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("served", MODELS)
async def test_the_template_is_found_by_the_name_that_the_server_has_for_its_model(
    serve: Serve, call: Call, served: str, method: str
) -> None:
    """The first line of everybody with a server of their own; it is asked once, also by copies."""
    endpoint = serve(answers="Hello", model_id=served)
    chat = ChatDataCrunch(base_url=endpoint.url)
    pickled = pickle.dumps(chat)
    assert not endpoint.requests, "constructing a model asks nothing"
    for _ in range(2):
        await call(chat, method, "Hi")
        assert sent(endpoint) == MODELS[served]
    await call(chat.model_copy(update={"temperature": 0.5}), method, "Hi")
    paths = [request.path for request in endpoint.requests]
    assert paths.count("/info") == 1
    assert pickle.dumps(chat) == pickled


async def test_a_server_that_reports_no_model_is_asked_once(serve: Serve, call: Call) -> None:
    """`/info` is requested once for each address, even if it fails."""
    endpoint = serve(answers="Hello", model_id="mine")
    unknown = ChatDataCrunch(base_url=endpoint.url)
    down = ChatDataCrunch(base_url="http://127.0.0.1:9")
    for chat in (unknown, unknown, down):
        with pytest.raises(ArgumentError, match="chat_template: is required"):
            await call(chat, "invoke", "Hi")
    assert [request.path for request in endpoint.requests] == ["/info"]


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_the_space_before_an_answer_is_the_templates(
    serve: Serve, call: Call, method: str
) -> None:
    """Only the space that the template puts before an answer is removed."""
    endpoint = serve(answers=" Paris is.")

    async def text(model: Any, given: Any) -> str:
        made = await call(model, method, given)
        return str((reduce(add, made) if method == "stream" else made).text)

    llama = ChatDataCrunch(base_url=endpoint.url, model="llama-2-13b-chat")
    assert await text(llama, "Hi") == "Paris is."
    assert await text(llama, [HumanMessage("Hi"), AIMessage("I think")]) == " Paris is."
    assert (
        await text(ChatDataCrunch(base_url=endpoint.url, chat_template="chatml"), "Hi")
        == " Paris is."
    )
    completion = await call(DataCrunchLLM(base_url=endpoint.url), method, "Hi")
    assert "".join(completion) == " Paris is."
    prompts = list[str]()
    for said in ("Paris is.", " Paris is."):
        await text(llama, [HumanMessage("Hi"), AIMessage(said), HumanMessage("Sure?")])
        prompts.append(sent(endpoint))
    assert prompts[0] == prompts[1] == "[INST] Hi [/INST] Paris is. </s><s>[INST] Sure? [/INST]"


async def test_the_log_says_once_how_to_get_usage_and_a_chat_template(
    serve: Serve, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing usage and a missing template are logged once, without the prompt."""
    url = serve(answers="Hello", dialect="1.1.1").url
    llm = DataCrunchLLM(base_url=url, model="a-model-of-this-test")
    prompt = ChatPromptTemplate.from_messages([("user", "secret words")])
    with caplog.at_level(logging.WARNING, "datacrunch_tgi"):
        for _ in range(2):
            await call(prompt | llm, "invoke", {})
            await call(llm, "stream", "Hi")
    messages = [record.getMessage() for record in caplog.records]
    usage = [text for text in messages if "tokenizer" in text]
    template = [text for text in messages if "ChatDataCrunch" in text]
    assert (len(usage), len(template)) == (1, len(template))
    assert url in usage[0]
    assert "secret words" not in str(messages)


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_every_generation_says_why_it_ended(
    chat: ChatDataCrunch, call: Call, remembering: Any, method: str
) -> None:
    """Evaluators and tracers look for it in the generation, streamed or not."""
    await call(chat, method, "Hi", config={"callbacks": [remembering]})
    (generation,) = remembering.result.generations[0]
    assert generation.generation_info["finish_reason"] == "stop"
