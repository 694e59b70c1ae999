"""What is sent: the prompt through exactly one template, the parameters under the API's names."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from llama_index.core import ChatPromptTemplate, PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from pydantic import BaseModel

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]


def llama(messages: Sequence[ChatMessage]) -> str:
    return "".join(f"<|{message.role.value}|>{message.content}<|end|>" for message in messages)


def instruction(prompt: str) -> str:
    return f"[INST] {prompt} [/INST]"


@pytest.fixture
def templated(endpoint: EmulatedEndpoint) -> DataCrunch:
    return DataCrunch(
        base_url=endpoint.url,
        system_prompt="Be brief.",
        messages_to_prompt=llama,
        completion_to_prompt=instruction,
    )


async def test_a_prompt_goes_through_one_template_once(
    templated: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """A prompt is formatted once: by the chat or the completion function."""
    await ask(templated, "Hi")
    chats = "chat" in f"{getattr(ask, '__name__', '')}"
    assert _prompt(endpoint) == ("<|user|>Hi<|end|>" if chats else "[INST] Hi [/INST]")


async def test_a_formatted_prompt_is_sent_as_it_is(
    templated: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """`formatted=True` sends the prompt unchanged."""
    templated.complete("Hi", formatted=True)
    list(templated.stream_complete("Hi", formatted=True))
    await templated.acomplete("Hi", formatted=True)
    [_ async for _ in await templated.astream_complete("Hi", formatted=True)]
    assert [request.json["inputs"] for request in endpoint.requests] == ["Hi"] * 4


async def test_a_predicted_prompt_is_formatted_once(
    templated: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """`predict` formats its prompt once, with the system prompt."""
    prompt = PromptTemplate("Say {word}")
    templated.predict(prompt, word="yes")
    "".join(templated.stream(prompt, word="yes"))
    await templated.apredict(prompt, word="yes")
    "".join([delta async for delta in await templated.astream(prompt, word="yes")])
    sent = {request.json["inputs"] for request in endpoint.requests}
    assert (len(endpoint.requests), sent) == (4, {"Be brief.\n\n[INST] Say yes [/INST]"})


def test_a_chat_model_has_the_system_prompt_in_its_template(endpoint: EmulatedEndpoint) -> None:
    """A chat model gets the system prompt as a message."""
    model = DataCrunch(
        base_url=endpoint.url,
        system_prompt="Be brief.",
        messages_to_prompt=llama,
        is_chat_model=True,
    )
    model.predict(ChatPromptTemplate.from_messages([("user", "Say {word}")]), word="yes")
    assert _prompt(endpoint) == "<|system|>Be brief.<|end|><|user|>Say yes<|end|>"


@pytest.mark.parametrize("is_chat_model", [False, True], ids=["prompt", "messages"])
async def test_structured_prediction_reads_json_and_takes_parameters(
    serve: Callable[..., EmulatedEndpoint],
    is_chat_model: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """`structured_predict` passes `llm_kwargs` to the call."""

    class Song(BaseModel):
        title: str

    endpoint = serve(answers='{"title": "Finlandia"}')
    model = DataCrunch(
        base_url=endpoint.url,
        completion_to_prompt=instruction,
        messages_to_prompt=lambda messages: f"[INST] {messages[-1].content} [/INST]",
        is_chat_model=is_chat_model,
    )
    grammar = {"type": "json", "value": Song.model_json_schema()}
    parameters = {"llm_kwargs": {"grammar": grammar}}
    for song in (
        model.structured_predict(Song, PromptTemplate("A song"), **parameters),
        await model.astructured_predict(Song, PromptTemplate("A song"), **parameters),
    ):
        assert song == Song(title="Finlandia")
        assert endpoint.requests[-1].json["parameters"]["grammar"] == grammar
        assert _prompt(endpoint).count("[INST]") == 1


def test_what_is_known_of_an_answer_stays_out_of_the_next_prompt(
    model: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """Metadata of an answer is not part of the next prompt."""
    memory = ChatMemoryBuffer.from_defaults(tokenizer_fn=str.split)
    engine = SimpleChatEngine.from_defaults(llm=model, memory=memory)
    engine.chat("one")
    "".join(engine.stream_chat("two").response_gen)
    engine.chat("three")
    assert _prompt(endpoint) == (
        "user: one\nassistant: Hello there, my friend\n"
        "user: two\nassistant: Hello there, my friend\n"
        "user: three\nassistant: "
    )


async def test_the_body_holds_what_was_set_and_no_more(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask_whole: Ask
) -> None:
    """The body has only parameters that are set."""
    model.messages_to_prompt = lambda messages: str(messages[0].content)
    await ask_whole(model, "Hi", max_tokens=60)
    assert endpoint.requests[-1].json == {
        "model": "llama",
        "inputs": "Hi",
        "parameters": {"details": True, "max_new_tokens": 60},
    }


async def test_the_parameters_of_a_call_stand_over_the_models(
    endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Parameters of a call take precedence over the model's; stop strings are added."""
    model = DataCrunch(
        base_url=endpoint.url,
        max_tokens=60,
        temperature=0.5,
        stop=["a"],
        extra_parameters={"new": 1},
    )
    await ask(model, temperature=0, stop=["b"])
    assert endpoint.requests[-1].json["parameters"] == {
        "details": True,
        "max_new_tokens": 60,
        "stop": ["a", "b"],
        "new": 1,
    }


async def test_the_extra_parameters_of_a_call_are_added_to_the_models(
    endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Extra parameters of a call are added to the model's."""
    model = DataCrunch(base_url=endpoint.url, extra_parameters={"new": 1, "newer": 1})
    await ask(model, extra_parameters={"newer": 2, "newest": 3})
    sent = endpoint.requests[-1].json["parameters"]
    assert {name: sent.get(name) for name in ("new", "newer", "newest")} == {
        "new": 1,
        "newer": 2,
        "newest": 3,
    }
    assert model.extra_parameters == {"new": 1, "newer": 1}


async def test_one_stop_string_may_be_assigned_without_a_list(
    endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """A single stop string can be assigned without a list."""
    model: Any = DataCrunch(base_url=endpoint.url)
    model.stop = "END"
    assert model.stop == ["END"]
    await ask(model)
    assert endpoint.requests[-1].json["parameters"]["stop"] == ["END"]


async def test_a_misspelt_parameter_is_refused_and_nothing_is_sent(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """A misspelt parameter is refused with the nearest name, before any request."""
    with pytest.raises(ArgumentError, match="did you mean 'temperature'"):
        await ask(model, temprature=1.0)
    assert not endpoint.requests


# What LlamaIndex's own tests demand of every LLM (llama-index-core, tests/llms/test_callbacks.py).


@pytest.mark.parametrize("arguments", [{"args": ["Hi"]}, {"kwargs": {"prompt": "Hi"}}])
async def test_the_prompt_is_given_by_place_or_by_name(
    model: DataCrunch, endpoint: EmulatedEndpoint, arguments: dict[str, Any]
) -> None:
    """The prompt may be positional or a keyword."""
    args, kwargs = arguments.get("args", []), arguments.get("kwargs", {})
    model.complete(*args, **kwargs)
    list(model.stream_complete(*args, **kwargs))
    await model.acomplete(*args, **kwargs)
    [_ async for _ in await model.astream_complete(*args, **kwargs)]
    assert [request.json["inputs"] for request in endpoint.requests] == ["Hi"] * 4


async def test_a_missing_prompt_is_a_value_error(model: DataCrunch) -> None:
    """A call without a prompt raises LlamaIndex's `ValueError`."""
    for method in (model.complete, model.stream_complete):
        with pytest.raises(ValueError, match="No prompt provided"):
            method()  # type: ignore[call-arg]  # which is the point
    for asynchronous in (model.acomplete, model.astream_complete):
        with pytest.raises(ValueError, match="No prompt provided"):
            await asynchronous()  # type: ignore[call-arg]  # which is the point


async def test_a_prompt_given_twice_is_a_type_error(model: DataCrunch) -> None:
    """A prompt that is passed twice raises Python's `TypeError`."""
    for method in (model.complete, model.stream_complete):
        with pytest.raises(TypeError, match="multiple values"):
            method("Hi", prompt="Hi")  # type: ignore[misc]  # which is the point
    for asynchronous in (model.acomplete, model.astream_complete):
        with pytest.raises(TypeError, match="multiple values"):
            await asynchronous("Hi", prompt="Hi")  # type: ignore[misc]  # which is the point


def _prompt(endpoint: EmulatedEndpoint) -> str:
    return str(endpoint.requests[-1].json["inputs"])
