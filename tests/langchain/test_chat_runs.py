"""A chat model with LangChain's caches, limiters, tracers, dumps, listeners and left streams."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from langchain_core.messages import (
    HumanMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import ValidationError

from datacrunch_tgi import ArgumentError, ChatTemplate, OverloadedError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch

Call = Callable[..., Awaitable[Any]]
WORDS = ["Hello", " there", ",", " my", " friend", ""]
KEY = "sk-secret"


def sent(endpoint: EmulatedEndpoint) -> str:
    return str(endpoint.requests[-1].json["inputs"])


async def test_the_rate_limiter_is_asked_once_for_each_call(
    endpoint: EmulatedEndpoint, ask: Call
) -> None:
    """LangChain's rate limiter is used once for each call."""

    class Limiter(BaseRateLimiter):
        taken = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.taken += 1
            return blocking

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire(blocking=blocking)

    turns = Limiter()
    chat = ChatDataCrunch(base_url=endpoint.url, model="llama-2-13b-chat", rate_limiter=turns)
    for method in ("invoke", "stream", "batch"):
        await ask(chat, method)
    assert turns.taken == 3


async def test_the_cache_distinguishes_models_and_calls(
    endpoint: EmulatedEndpoint, call: Call
) -> None:
    """Parameters of model and call are part of the cache key."""
    cache = InMemoryCache()
    one: Any = ChatDataCrunch(base_url=endpoint.url, model="llama-2-13b-chat", cache=cache)
    hot = one.model_copy(update={"temperature": 0.9})
    for _ in range(2):
        await call(one, "invoke", "Hi")
        await call(hot, "invoke", "Hi")
        await call(one, "invoke", "Hi", max_tokens=3)
        await call(one, "invoke", "Hi", stop=["my"])
    assert len(endpoint.requests) == 4
    one.temperature = 0.5
    await call(one, "invoke", "Hi")
    assert len(endpoint.requests) == 5


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_a_trace_shows_status_and_body_of_an_error_and_no_header_but_two(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, remembering: Any, method: str
) -> None:
    """Traces have an error's status and body, and of its headers only two."""
    body = {"error": "Model is overloaded", "error_type": "overloaded"}
    headers = {"Retry-After": "7", "X-Request-Id": "id-1", "X-Request": "sk-secret"}
    endpoint.fail_next(status=429, body=body, headers=headers)
    with pytest.raises(OverloadedError):
        await call(chat, method, "Hi", max_retries=0, config={"callbacks": [remembering]})
    ((_, _, reported),) = remembering.errors
    assert reported.generations[0][0].message.response_metadata == {
        "body": body,
        "headers": {"retry-after": "7", "x-request-id": "id-1"},
        "request_id": "id-1",
        "status_code": 429,
    }


async def test_leaving_a_stream_stops_the_server(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """Closing a stream stops the generation."""
    for leave in ("close", "aclose"):
        endpoint.fail_next(stall=600, stall_after=2)
        stream: Any = chat.stream("Hi") if leave == "close" else chat.astream("Hi")
        if leave == "close":
            assert [next(stream).content for _ in range(2)] == WORDS[:2]
            stream.close()
        else:
            assert [(await anext(stream)).content for _ in range(2)] == WORDS[:2]
            await stream.aclose()
        await asyncio.to_thread(endpoint.wait_until_idle)
        assert endpoint.requests[-1].left_early


async def test_tracers_get_parameters_and_no_key(
    chat: ChatDataCrunch, call: Call, remembering: Any
) -> None:
    """Tracers get the call's parameters, but not the key."""
    chat = ChatDataCrunch(
        base_url=chat.base_url,
        api_key=KEY,
        model="llama-2-13b-chat",
        temperature=0.5,
        stop=["a"],
    )
    config = {"callbacks": [remembering]}
    await call(chat, "invoke", "Hi", max_new_tokens=5, stop=["b"], config=config)
    (metadata,), (reported,) = remembering.metadata, remembering.invocation_params
    assert {name: value for name, value in metadata.items() if name.startswith("ls_")} == {
        "ls_provider": "datacrunch",
        "ls_model_type": "chat",
        "ls_model_name": "llama-2-13b-chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 5,
        "ls_stop": ["a", "b"],
        "ls_integration": "langchain_chat_model",
    }
    assert reported["temperature"] == 0.5
    assert KEY not in repr([remembering.serialized, reported, metadata])


def test_its_profile_has_tools_and_structured_output_and_may_be_given() -> None:
    """LangChain's agents use it to choose a way of structured output."""
    for model, images in (("mine", False), ("llava-v1.6", True)):
        profile = ChatDataCrunch(base_url="http://localhost", model=model).profile
        assert profile is not None
        assert profile["tool_calling"]
        assert profile["structured_output"]
        assert profile["image_inputs"] is images
    given = ChatDataCrunch(base_url="http://localhost", profile={"max_input_tokens": 4096})
    assert given.profile == {"max_input_tokens": 4096}


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"chat_templat": "llama-2"}, "did you mean 'chat_template'"),
        ({"temperature": -1.0}, r"must be 0 \(greedy\) or greater"),
        ({"chat_template": 5}, "chat_template"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(wrong: dict[str, Any], reported: str) -> None:
    """The constructor refuses an invalid argument by its name."""
    with pytest.raises(ValidationError, match=reported):
        ChatDataCrunch(base_url="http://localhost", **wrong)


async def test_a_mistyped_argument_of_a_call_is_refused(chat: ChatDataCrunch, call: Call) -> None:
    """A misspelt argument of a call is refused with the nearest name."""
    with pytest.raises(ArgumentError, match="did you mean 'logprobs'"):
        await call(chat, "invoke", "Hi", logprob=True)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_dumps_and_pickles_give_a_model_that_works(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies from dumps and pickles work; a dump does not contain the key."""
    chat = ChatDataCrunch(
        base_url=endpoint.url, api_key=KEY, model="mine", chat_template="chatml", logprobs=True
    )
    dumped = dumpd(chat)
    assert KEY not in repr(dumped)
    monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-of-the-environment")
    loaded = load(
        dumped,
        allowed_objects=[ChatDataCrunch],
        valid_namespaces=["langchain_datacrunch"],
        secrets_from_env=True,
    )
    for copied in (loaded, pickle.loads(pickle.dumps(chat)), chat.model_copy(deep=True)):
        message = await call(copied, "invoke", "Hi")
        assert message.response_metadata["logprobs"]
        assert sent(endpoint).startswith("<|im_start|>user\nHi")
    keys = [request.headers["authorization"] for request in endpoint.requests]
    assert keys == ["Bearer sk-of-the-environment", f"Bearer {KEY}", f"Bearer {KEY}"]


async def test_templates_that_differ_at_their_end_share_no_answer_and_are_dumped(
    endpoint: EmulatedEndpoint, call: Call
) -> None:
    """The full template is part of the cache key and of a dump."""
    cache = InMemoryCache()
    begin = "{% for message in messages %}{{ message.content }}{% endfor %}"
    templates = [ChatTemplate(begin + end, eos_token="</s>") for end in ("A", "B")]
    for template in templates * 2:
        chat = ChatDataCrunch(
            base_url=endpoint.url, model="mine", chat_template=template, cache=cache
        )
        await call(chat, "invoke", "Hi")
    assert [request.json["inputs"] for request in endpoint.requests] == ["HiA", "HiB"]
    named = ChatDataCrunch(base_url=endpoint.url, chat_template="chatml", cache=cache)
    for template in templates * 2:
        await call(named, "invoke", "Hi", chat_template=template)
    assert len(endpoint.requests) == 4
    dumped = dumpd(ChatDataCrunch(base_url=endpoint.url, chat_template=templates[0]))
    assert ChatTemplate(**dumped["kwargs"]["chat_template"]).template == begin + "A"


@pytest.mark.parametrize("method", ["invoke", "stream", "generate"])
async def test_arguments_that_no_call_can_have_are_refused_before_tracers_see_them(
    chat: ChatDataCrunch, call: Call, remembering: Any, method: str
) -> None:
    """Secrets and unknown arguments of a call are refused before tracers see them."""
    given: Any = [[HumanMessage("Hi")]] if method == "generate" else "Hi"
    for name in ("api_key", "headers", "temprature"):
        callbacks: Any = {"callbacks": [remembering]}
        options = callbacks if method == "generate" else {"config": callbacks}
        with pytest.raises(ArgumentError, match=f"^{name}"):
            await call(chat, method, given, **options, **{name: "sk-in-a-call"})
    assert not remembering.invocation_params
    with pytest.raises(ArgumentError, match=r"^api_key"):
        chat.bind(api_key="sk-in-a-call")


async def test_a_configured_model_streams_to_who_listens(chat: ChatDataCrunch) -> None:
    """LangChain creates it again with every field, including the default of `streaming`."""
    configurable = chat.configurable_fields(max_tokens=ConfigurableField(id="most"))
    chain = RunnableLambda(lambda text: text) | configurable | StrOutputParser()
    events = [event async for event in chain.astream_events("Hi", version="v2")]
    assert sum(event["event"] == "on_chat_model_stream" for event in events) == len(WORDS)


@pytest.mark.parametrize(
    ("name", "value"), [("logprobs", "perhaps"), ("allow_control_tokens", 7), ("chat_template", 5)]
)
async def test_a_call_checks_what_it_is_given(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, name: str, value: Any
) -> None:
    """Invalid options of a call are refused before any request."""
    with pytest.raises(ArgumentError, match=f"^{name}={value!r}: "):
        await call(chat, "invoke", "Hi", **{name: value})
    assert not endpoint.requests
