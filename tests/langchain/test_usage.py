"""Usage, finish reason, seed and log probabilities are the same on every path, and never guessed."""

from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.outputs import Generation, LLMResult

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM
from langchain_datacrunch._outputs import merge_results

PATHS = pytest.mark.parametrize(
    ("method", "streaming"),
    [
        ("invoke", False),
        ("invoke", True),
        ("stream", False),
        ("generate", False),
        ("generate", True),
        ("batch", False),
    ],
)


async def _request_kwargs(
    call: Callable[..., Awaitable[Any]],
    llm: DataCrunchLLM,
    handler: Any,
    method: str,
    **parameters: Any,
) -> LLMResult:
    """What a callback gets at the end of one call."""
    llm.callbacks = [handler]
    await call(
        llm,
        method,
        ["How are you"] if method in {"generate", "batch"} else "How are you",
        **parameters,
    )
    return handler.result  # type: ignore[no-any-return]  # conftest's


def _info(result: LLMResult) -> dict[str, Any]:
    ((generation,),) = result.generations
    assert isinstance(generation, Generation)
    return generation.generation_info or {}


@PATHS
async def test_generation_info_is_the_same_on_every_path(
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """`generation_info` is the same in every method."""
    llm.streaming = streaming
    info = _info(
        await _request_kwargs(
            call, llm, remembering, method, do_sample=True, seed=7, top_n_tokens=2
        )
    )
    tokens = info.pop("tokens")
    assert info == {
        "finish_reason": "stop",
        "tgi_finish_reason": "eos_token",
        "seed": 7,
        "token_usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
        "model_name": "llama",
    }
    texts = [token["text"] for token in tokens]
    assert texts == ["Hello", " there", ",", " my", " friend", "</s>"]
    assert [token["special"] for token in tokens] == [False] * 5 + [True]
    for token in tokens:
        first, second = token["top_tokens"]
        assert (first["id"], first["logprob"]) == (token["id"], token["logprob"])
        assert second["logprob"] < first["logprob"]


@pytest.mark.parametrize(
    ("method", "streaming"), [("invoke", False), ("invoke", True), ("generate", False)]
)
async def test_llm_output_has_usage_and_model(
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """`llm_output` has usage and the model's name."""
    llm.streaming = streaming
    result = await _request_kwargs(call, llm, remembering, method)
    assert result.llm_output == {
        "token_usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
        "model_name": "llama",
    }


async def test_generate_adds_up_what_its_prompts_took(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]]
) -> None:
    """`generate` sums the usage of its prompts."""
    result = await call(llm, "generate", ["How are you", "Hi"])
    usages = [generation.generation_info["token_usage"] for (generation,) in result.generations]
    assert [usage["prompt_tokens"] for usage in usages] == [4, 2]
    assert result.llm_output["token_usage"] == {
        "prompt_tokens": 6,
        "completion_tokens": 12,
        "total_tokens": 18,
    }


@PATHS
async def test_prompt_tokens_that_the_server_does_not_report_are_left_out(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Prompt tokens that the server does not report are left out."""
    endpoint = serve(answers="Fine", dialect="1.1.1")
    llm = DataCrunchLLM(base_url=endpoint.url, streaming=streaming)
    info = _info(await _request_kwargs(call, llm, remembering, method))
    assert info["token_usage"] == {"completion_tokens": 2}
    assert "seed" not in info  # nothing was drawn


async def test_the_users_tokenizer_counts_the_prompt_where_the_server_does_not(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
) -> None:
    """`tokenizer` counts the prompt if the server does not."""
    endpoint = serve(answers="Fine", dialect="1.1.1")
    llm = DataCrunchLLM(base_url=endpoint.url, tokenizer=str.split)
    info = _info(await _request_kwargs(call, llm, remembering, "invoke"))
    assert info["token_usage"]["prompt_tokens"] == 3


async def test_a_stream_of_many_chunks_adds_up_to_its_answer(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
) -> None:
    """The chunks of a long stream add up to text and usage."""
    llm = DataCrunchLLM(base_url=serve(answers="word " * 999).url)
    info = _info(await _request_kwargs(call, llm, remembering, "stream", max_tokens=1500))
    tokens = info["tokens"]
    assert (info["finish_reason"], info["model_name"]) == ("stop", "tgi")
    assert info["token_usage"]["completion_tokens"] == len(tokens) == 1001
    added = reduce(add, remembering.chunks)
    assert added.generation_info == info
    assert added.text == "word " * 999


async def test_the_prompts_tokens_and_rejected_answers_are_reported_where_asked_for(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
) -> None:
    """`decoder_input_details` and `best_of` add their results to `generation_info`."""
    llm = DataCrunchLLM(base_url=serve(answers="Fine", dialect="1.1.1").url)
    asked = {"decoder_input_details": True, "best_of": 2, "do_sample": True}
    info = _info(await _request_kwargs(call, llm, remembering, "invoke", **asked))
    assert [token["text"] for token in info["prefill"]] == ["<s>", "How", " are", " you"]
    (rejected,) = info["best_of_sequences"]
    assert rejected["generated_text"] == "Fine"


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
async def test_a_stop_string_that_the_client_found_is_the_finish_reason(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    dialect: str,
) -> None:
    """A stop string that the client finds is reported as the finish reason."""
    llm = DataCrunchLLM(base_url=serve(answers="one two three", dialect=dialect).url)
    info = _info(await _request_kwargs(call, llm, remembering, "stream", stop=["wo"]))
    assert (info["finish_reason"], info["tgi_finish_reason"]) == ("stop", "stop_sequence")
    assert info["token_usage"]["completion_tokens"] == len(info["tokens"]) == 2


def test_a_sum_is_left_out_where_only_one_of_the_prompts_has_the_number() -> None:
    """A sum is left out unless every prompt has the number."""
    known, unknown = (
        LLMResult(
            generations=[[Generation(text=text)]],
            llm_output={"token_usage": usage, "model_name": "llama"},
        )
        for text, usage in (
            ("a", {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}),
            ("b", {"completion_tokens": 4}),
        )
    )
    result = merge_results([known, unknown])
    assert result.generations == [*known.generations, *unknown.generations]
    assert result.llm_output == {"token_usage": {"completion_tokens": 7}, "model_name": "llama"}
