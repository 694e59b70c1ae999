"""Arguments that other packages add out of habit: dropped or obeyed by meaning, or refused with advice."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import StringPromptValue

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM

Call = Callable[..., Awaitable[Any]]
MODELS = pytest.mark.parametrize("kind", [ChatDataCrunch, DataCrunchLLM])
HABITS: dict[str, dict[str, Any]] = {
    "what is None is not set": {"temperature": None, "stop": None, "timeout": None, "temprature": None},
    "one answer": {"n": 1},
    "headers of another provider": {"extra_headers": {"Authorization": "sk-private"}, "extra_query": {}},
    "no tools": {"tools": [], "tool_choice": "auto", "parallel_tool_calls": False, "strict": True},
    "tools not set": {"tools": None, "tool_choice": None, "functions": [], "function_call": "none"},
    "plain text": {"response_format": {"type": "text"}, "modalities": ["text"]},
    "penalties of nothing": {"presence_penalty": 0.0, "logit_bias": {}, "extra_body": {}},
    "bookkeeping": {"user": "me", "store": False, "service_tier": "auto", "prompt_cache_key": "k"},
    "streams": {"stream_options": {"include_usage": True}, "stream_usage": True},
}  # fmt: skip


@pytest.fixture
def model(kind: Any, endpoint: EmulatedEndpoint) -> Any:
    return kind(base_url=endpoint.url, model="llama-2-13b-chat", temperature=0.5, seed=1)


@MODELS
@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS.keys())
async def test_what_changes_no_answer_is_dropped(
    model: Any, endpoint: EmulatedEndpoint, call: Call, method: str, habit: dict[str, Any]
) -> None:
    """The request is the same as without the arguments, passed to the call or bound to the model."""
    await call(model, method, "Hi")
    await call(model, method, "Hi", **habit)
    await call(model.bind(**habit), method, "Hi")
    plain, *others = (request.json for request in endpoint.requests)
    assert others == [plain, plain]


@MODELS
async def test_evaluators_calls_are_taken(
    model: Any, endpoint: EmulatedEndpoint, call: Call
) -> None:
    """Ragas passes prompts with `n`, `stop` and `callbacks`, old chains `callbacks=None` to every method."""
    prompts = [StringPromptValue(text="Hi")]
    result = await call(model, "generate_prompt", prompts, n=1, stop=None, callbacks=None)
    assert result.generations[0][0].text == "Hello there, my friend"
    await call(model, "invoke", "Hi", callbacks=None, tags=None)
    first, second = (request.json for request in endpoint.requests)
    assert first == second


@MODELS
async def test_arguments_under_other_names_are_obeyed(
    model: Any, endpoint: EmulatedEndpoint, call: Call
) -> None:
    """OpenAI's names of parameters are accepted."""
    await call(model, "invoke", "Hi", max_completion_tokens=3, top_logprobs=2, logprobs=True)
    parameters = endpoint.requests[-1].json["parameters"]
    assert (parameters["max_new_tokens"], parameters["top_n_tokens"]) == (3, 2)


@MODELS
@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"n": 3}, r"n=3: must be 1.*batch\("),
        ({"presence_penalty": 0.5}, "presence_penalty=0.5: is not supported"),
        ({"logit_bias": {"1": 5}}, "logit_bias=.*is not supported"),
        ({"functions": [{}]}, "functions=.*bind_tools"),
        ({"tool_choice": "any"}, "tool_choice='any': requires tools"),
        ({"extra_body": {"top_a": 1}}, "extra_body=.*use extra_parameters"),
        ({"temprature": 1}, "temprature: no such parameter; did you mean 'temperature'"),
        ({"headers": {"Authorization": "x"}}, "headers: can only be set on the model"),
    ],
)
async def test_what_would_change_the_answer_is_refused_with_advice(
    model: Any, endpoint: EmulatedEndpoint, call: Call, argument: Any, expected: str
) -> None:
    """Unsupported arguments are refused with advice, before any request."""
    for method in ("invoke", "stream"):
        with pytest.raises(ArgumentError, match=f"^{expected}"):
            await call(model, method, "Hi", **argument)
    assert not endpoint.requests


async def test_a_plain_llm_has_neither_tools_nor_formats(llm: DataCrunchLLM, call: Call) -> None:
    """An LLM refuses tools, `response_format` and `logprobs=5`, and says what to use."""
    for argument, advice in (
        ({"tools": [{"type": "function"}]}, "tools=.*bind_tools"),
        ({"response_format": {"type": "json_object"}}, "response_format=.*with_structured_output"),
        ({"logprobs": 5}, "logprobs=5: .*top_n_tokens"),
    ):
        with pytest.raises(ArgumentError, match=advice):
            await call(llm, "invoke", "Hi", **argument)


@MODELS
@pytest.mark.parametrize(
    "argument",
    [{"max_tokens": -1}, {"timeout": "soon"}, {"temperature": "hot"}, {"seed": "x"}, {"stop": 5}],
)
async def test_a_wrong_value_is_named_as_it_was_passed(
    model: Any, endpoint: EmulatedEndpoint, call: Call, argument: dict[str, Any]
) -> None:
    """An error names the argument as it was passed, in calls and copies."""
    ((name, value),) = argument.items()
    for method in ("invoke", "stream"):
        with pytest.raises(ArgumentError, match=f"^{name}={value!r}: "):
            await call(model, method, "Hi", **argument)
    for copied in (model.model_copy, model.copy):
        with pytest.raises(ArgumentError, match=f"^{name}={value!r}: "):
            copied(update=argument)
    assert not endpoint.requests


@MODELS
async def test_what_belongs_together_may_be_set_apart(
    model: Any, endpoint: EmulatedEndpoint, call: Call
) -> None:
    """`best_of` needs sampling, wherever that is turned on, and no seed."""
    sampling = model.model_copy(update={"seed": None})
    await call(sampling, "invoke", "Hi", best_of=2)
    await call(sampling.copy(update={"best_of": 2}), "invoke", "Hi")
    first, second = (request.json["parameters"] for request in endpoint.requests)
    assert first == second
    assert (first["best_of"], first["temperature"]) == (2, 0.5)
    with pytest.raises(ArgumentError, match=r"^seed=1: must not be set when best_of"):
        model.model_copy(update={"best_of": 2})


@MODELS
@pytest.mark.parametrize("method", ["invoke", "stream", "generate"])
async def test_no_tracer_records_headers(model: Any, call: Call, method: str) -> None:
    """Tracers record a call's arguments; headers may hold keys."""
    seen = list[Any]()

    class Recorder(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

        def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

    given: Any = "Hi"
    if method == "generate":
        given = [[HumanMessage("Hi")]] if isinstance(model, ChatDataCrunch) else ["Hi"]
    model.callbacks = [Recorder()]
    await call(model, method, given, extra_headers={"Authorization": "Bearer sk-private"})
    assert seen
    assert "sk-private" not in repr(seen)
