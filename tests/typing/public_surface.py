"""What type checkers see of the public surface. Checked by pyright and mypy, never run."""

from typing import assert_type

from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult

from datacrunch_tgi import (
    Answer,
    AsyncClient,
    ChatTemplate,
    Client,
    Details,
    Info,
    Parameters,
    PromptToken,
    StreamEvent,
    Usage,
)
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from llamaindex_datacrunch import DataCrunch


def threads(client: Client) -> None:
    answer = client.generate("prompt", max_new_tokens=20, stop=["a"], temperature=0.5, seed=None)
    assert_type(answer, Answer)
    assert_type(answer.text, str)
    assert_type(answer.generated_text, str | None)
    assert_type(answer.details, Details | None)
    assert_type(answer.usage, Usage)
    assert_type(answer.usage.prompt_tokens, int | None)
    with client.stream("prompt", Parameters(top_k=10), details=True) as events:
        for event in events:
            assert_type(event, StreamEvent)
            assert_type(event.token.logprob, float | None)
    assert_type(events.answer, Answer)
    assert_type(client.info(), Info)
    assert_type(client.health(), bool)
    assert_type(client.tokenize("text"), list[PromptToken])


async def event_loops(client: AsyncClient) -> None:
    assert_type(await client.generate("prompt", watermark=True), Answer)
    async with client.stream("prompt", extra_parameters={"new": 1}) as events:
        async for event in events:
            assert_type(event.text, str)
    assert_type(events.answer, Answer)
    assert_type(await client.info(), Info)
    assert_type(await client.health(), bool)
    assert_type(await client.tokenize("text"), list[PromptToken])


def refused(client: Client) -> None:
    client.generate("prompt", max_new_tokens="20")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.generate("prompt", temperatur=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.stream(["prompt"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client(base_uri="http://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Client(max_retries="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def adapters() -> None:
    assert_type(DataCrunchLLM(max_tokens=60).invoke("prompt"), str)
    assert_type(DataCrunch(max_tokens=60).complete("prompt").text, str)


def chats(chat: ChatDataCrunch, template: ChatTemplate) -> None:
    assert_type(chat.invoke("prompt"), AIMessage)
    assert_type(chat.template, ChatTemplate | None)
    prompt = template.prompt([{"role": "user", "content": "Hi"}], allow_control_tokens=True)
    assert_type(prompt, str)
    assert_type(template.stop, tuple[str, ...])


def settings(client: Client, async_client: AsyncClient) -> None:
    assert_type(client.with_settings(model="other"), Client)
    assert_type(async_client.with_settings(idle_timeout=5), AsyncClient)


def llamaindex(llm: DataCrunch) -> None:
    DataCrunch(model="m", api_key="k", max_tokens=20, timeout=5, chat_template="llama-2", stop="x")
    assert_type(llm.context_window, int)
    assert_type(llm.temperature, float | None)
    assert_type(llm.base_url, str)
    assert_type(llm.max_tokens, int | None)
    assert_type(llm.timeout, float)
    assert_type(llm.tool_format, str | None)
    assert_type(llm.is_function_calling_model, bool | None)
    assert_type(llm.template, ChatTemplate | None)
    assert_type(llm.fetch_server_limits(), DataCrunch)
    llm.complete("prompt", max_tokens=20, temperature=0, stop=["a"], max_retries=1)
    llm.chat([], tool_choice="any", allow_control_tokens=True)


def llamaindex_refused(llm: DataCrunch) -> None:
    DataCrunch(max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataCrunch(temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DataCrunch(context_window="wide")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    llm.complete("prompt", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.complete("prompt", temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    llm.complete("prompt", api_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.chat("prompt", seed=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    llm.complte("prompt")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = llm.temprature  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def langchain(llm: DataCrunchLLM, chat: ChatDataCrunch) -> None:
    DataCrunchLLM(model="m", api_key="k", max_tokens=20, timeout=5, stop="x", streaming=True)
    ChatDataCrunch(chat_template="llama-2", temperature=0, logprobs=True, tags=["a"], cache=False)
    assert_type(llm.temperature, float | None)
    assert_type(llm.base_url, str)
    assert_type(llm.max_tokens, int | None)
    assert_type(chat.timeout, float)
    assert_type(chat.top_logprobs, int | None)
    assert_type(chat.tool_format, str | None)
    assert_type(llm.invoke("prompt", max_tokens=20, stop=["a"], max_retries=1), str)
    assert_type(chat.invoke("prompt", tools=[], tool_choice="any", logprobs=True), AIMessage)
    assert_type(chat.generate([[]], ["x"], tools=[], tags=["a"]), LLMResult)


def langchain_refused(llm: DataCrunchLLM, chat: ChatDataCrunch) -> None:
    DataCrunchLLM(max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataCrunchLLM(temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ChatDataCrunch(chat_templat="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ChatDataCrunch(logprobs="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    llm.invoke("prompt", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.stream("prompt", seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chat.invoke("prompt", temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chat.invoke("prompt", api_key="k")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.complte("prompt")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = chat.temprature  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
