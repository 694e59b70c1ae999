"""Answers of real servers to a chain and to a prompt: texts, counts and usage."""

from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate

from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM

CHAIN = PromptTemplate.from_template(
    "Human: Answer the question based only on the following context:\n"
    "{context}\n\nQuestion: {question}"
)
QUESTION = "How do I stop generation at a word?"
CONTEXT = """# Length and stopping

max_new_tokens is the largest number of tokens that one answer may have. It defaults to 20, which is
short: raise it for real work. stop is a list of strings, and generation ends as soon as one of them
appears. truncate cuts the prompt to a number of tokens. return_full_text puts the prompt in front of
the answer, and it defaults to false."""
ANSWER = (
    " Pass the word in stop, a list of strings. Generation ends as soon as one of them appears."
)


def _cassette(name: str, **expected: Any) -> Any:
    return pytest.param(expected, marks=pytest.mark.default_cassette(f"{name}.yaml"), id=name)


@pytest.fixture
def llm() -> DataCrunchLLM:
    """A model that sends the recorded requests."""
    return DataCrunchLLM(
        base_url="http://endpoint.invalid", model="llama-2-13b-chat", max_tokens=120, max_retries=0
    )


@pytest.mark.vcr
@pytest.mark.parametrize(
    "expected",
    [
        _cassette("fork-1.1.1/chain-stop", method="invoke", usage={"completion_tokens": 27}),
        _cassette("fork-1.1.1/chain-stop-stream", method="stream", usage={"completion_tokens": 27}),
        _cassette(
            "tgi-3.3.7/chain-stop",
            method="invoke",
            usage={"prompt_tokens": 110, "completion_tokens": 27, "total_tokens": 137},
        ),
        _cassette(
            "tgi-3.3.7/chain-stop-stream",
            method="stream",
            usage={"prompt_tokens": 110, "completion_tokens": 27, "total_tokens": 137},
        ),
    ],
)
async def test_a_chain_over_a_document_answers_as_the_server_did(
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    expected: dict[str, Any],
) -> None:
    """A chain gives the recorded answer, usage and finish reason."""
    chain = CHAIN | llm | StrOutputParser()
    asked = {"context": CONTEXT, "question": QUESTION}
    answer = await call(chain, expected["method"], asked, config={"callbacks": [remembering]})
    assert "".join(answer) == ANSWER
    info = remembering.result.generations[0][0].generation_info
    assert info["tgi_finish_reason"] == "eos_token"
    assert info["token_usage"] == expected["usage"]
    assert "seed" not in info
    assert len(info["tokens"]) == 27


@pytest.mark.vcr
@pytest.mark.parametrize(
    "expected",
    [
        _cassette(f"{server}/ask-stop{suffix}", method=method)
        for server in ("fork-1.1.1", "tgi-3.3.7")
        for suffix, method in (("", "invoke"), ("-stream", "stream"))
    ],
)
async def test_a_prompt_is_answered_as_the_server_did(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]], expected: dict[str, Any]
) -> None:
    """A prompt gives the recorded answer."""
    assert "".join(await call(llm, expected["method"], f"[INST] {QUESTION} [/INST]")) == ANSWER


@pytest.mark.vcr
@pytest.mark.parametrize(
    "expected",
    [
        _cassette(f"{server}/japanese-cut-5{suffix}", method=method)
        for server in ("fork-1.1.1", "tgi-3.3.7")
        for suffix, method in (("", "invoke"), ("-stream", "stream"))
    ],
)
async def test_an_answer_that_ends_within_a_character_keeps_those_before_it(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]], expected: dict[str, Any]
) -> None:
    """An answer that is cut inside a character keeps the characters before it."""
    prompt = "[INST] Say hello in Japanese. [/INST]"
    assert "".join(await call(llm, expected["method"], prompt, max_tokens=5)) == " こ"


@pytest.mark.vcr
@pytest.mark.parametrize(
    "expected",
    [
        _cassette(f"{server}/chat-turns{suffix}", method=method, usage=usage)
        for server, usage in (("fork-1.1.1", None), ("tgi-3.3.7", 59))
        for suffix, method in (("", "invoke"), ("-stream", "stream"))
    ],
)
async def test_a_conversation_is_answered_as_the_server_did(
    call: Callable[..., Awaitable[Any]], expected: dict[str, Any]
) -> None:
    """A conversation gives the recorded message."""
    chat = ChatDataCrunch(
        base_url="http://endpoint.invalid", model="llama-2-13b-chat", max_tokens=60, max_retries=0
    )
    conversation = [
        ("system", "You are a helpful assistant."),
        ("user", "What is the capital of France?"),
        ("assistant", "The capital of France is Paris."),
        ("user", "What is the capital of Finland?"),
    ]
    message = await call(chat, expected["method"], conversation)
    if expected["method"] == "stream":
        message = reduce(add, message)
    assert message.text == "The capital of Finland is Helsinki."
    assert message.response_metadata["tgi_finish_reason"] == "eos_token"
    assert message.response_metadata["token_usage"]["completion_tokens"] == 10
    usage = message.usage_metadata
    assert (usage and usage["input_tokens"]) == expected["usage"]
