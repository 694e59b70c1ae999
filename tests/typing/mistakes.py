"""Wrong uses, each flagged by mypy and by pyright; nothing runs.

Where a line is not flagged, its comments are: both checkers report one that is not needed.
"""

from datacrunch_tgi import AsyncClient, Client, Parameters
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from llamaindex_datacrunch import DataCrunch


def constructors() -> None:
    Client(base_uri="http://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Client(max_retries="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client("http://localhost")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Client(engine="slow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncClient(temperature=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncClient(headers=["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DataCrunchLLM(max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataCrunchLLM(temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DataCrunchLLM(chat_template="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ChatDataCrunch(logprobs="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ChatDataCrunch(timeouts=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataCrunch(context_windw=9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DataCrunch(timeout="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Parameters(top_k=1.5)  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]


def threads(client: Client) -> None:
    client.generate()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.generate("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.generate("x", stop=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.generate("x", {"seed": "x"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.stream("x", temperatur=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.stream("x", on_retry=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.tokenize(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.info("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.health(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.with_settings(max_retry=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.with_settings(deadline="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.model = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    client.aclose()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = client.generate("x").txt  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    for event in client.stream("x"):
        _ = event.tokn  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def event_loops(client: AsyncClient) -> None:
    await client.generate("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.generate("x", top_p="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.stream("x")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    for _ in client.stream("x"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    client.close()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = (await client.info()).versoin  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def adapters(llm: DataCrunchLLM, chat: ChatDataCrunch, index: DataCrunch) -> None:
    llm.temperature = "hot"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    llm.stream("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.generate(["x"], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    llm.generate(["x"], seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    llm.batch(["x"], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    chat.batch(["x"], seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chat.batch(["x"], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    chat.generate([], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    chat.generate([], seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chat.bind_tools([], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    chat.with_structured_output({}, metod="json_mode")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    index.chat_with_tools([], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    chat.stream("x", logprobs="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    index.stream_complete("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    index.stream_chat([], seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    index.max_tokens = "x"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    _ = index.metadata.windw  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = chat.temprature  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = llm.max_token  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def adapters_in_event_loops(
    llm: DataCrunchLLM, chat: ChatDataCrunch, index: DataCrunch
) -> None:
    await llm.ainvoke("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await llm.agenerate(["x"], top_k="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await llm.abatch(["x"], top_p="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chat.abatch(["x"], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await chat.agenerate([], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await chat.ainvoke("x", seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await index.acomplete("x", max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await index.achat([], seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await index.astream_chat([], max_token=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
