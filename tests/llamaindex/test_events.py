"""One call is one event and one acquisition of the rate limiter; its tokens are counted once."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.rate_limiter import BaseRateLimiter
from pydantic import BaseModel, Field

from datacrunch_tgi import ArgumentError, AuthenticationError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]


class Limiter(BaseRateLimiter):
    """Counts who asks for a turn."""

    def __init__(self) -> None:
        self.taken = 0

    def acquire(self, num_tokens: int = 0) -> None:
        del num_tokens
        self.taken += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquire(num_tokens)


class Log(BaseEventHandler):
    """Keeps every event."""

    events: list[BaseEvent] = Field(default_factory=list)

    def handle(self, event: BaseEvent, **_: Any) -> None:
        self.events.append(event)

    def named(self, end: str) -> list[BaseEvent]:
        return [event for event in self.events if event.class_name().endswith(end)]


class Home(BaseModel):
    """Where an animal lives."""

    place: str


@pytest.fixture
def log() -> Iterator[Log]:
    """The events of LlamaIndex's instrumentation."""
    root, log = get_dispatcher(), Log()
    before = root.event_handlers
    root.event_handlers = [*before, log]
    yield log
    root.event_handlers = before


@pytest.fixture
def counter() -> TokenCountingHandler:
    """LlamaIndex's counter, whose own tokenizer finds nothing: only a response's numbers are left."""
    return TokenCountingHandler(tokenizer=lambda _: [])


@pytest.fixture
def turns() -> Limiter:
    return Limiter()


@pytest.fixture
def model(endpoint: EmulatedEndpoint, counter: TokenCountingHandler, turns: Limiter) -> DataCrunch:
    return DataCrunch(
        base_url=endpoint.url,
        api_key="sk-secret",
        headers={"X-Tenant": "sk-tenant"},
        callback_manager=CallbackManager([counter]),
        rate_limiter=turns,
        completion_to_prompt=lambda prompt: prompt,
        messages_to_prompt=lambda messages: str(messages[-1].content),
    )


async def test_one_call_is_one_start_and_one_end(
    model: DataCrunch, log: Log, turns: Limiter, ask: Ask
) -> None:
    """Each call reports one start and one end, and uses the rate limiter once."""
    responses = await ask(model)
    assert len(log.named("StartEvent")) == len(log.named("EndEvent")) == 1
    chunks = len(responses) if len(responses) > 1 else 0
    assert len(log.named("InProgressEvent")) == chunks
    assert turns.taken == 1


async def test_tokens_are_counted_once_as_the_server_reports_them(
    model: DataCrunch, counter: TokenCountingHandler, ask: Ask
) -> None:
    """TokenCountingHandler counts the tokens that the server reports, once."""
    usage = (await ask(model, "one two"))[-1].raw["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
    assert counter.prompt_llm_token_count == 3
    assert counter.completion_llm_token_count == 6
    assert len(counter.llm_token_counts) == 1


async def test_so_it_is_when_a_prompt_is_predicted(
    model: DataCrunch, counter: TokenCountingHandler, log: Log, turns: Limiter
) -> None:
    """`predict` and `stream` report each call once."""
    prompt = PromptTemplate("one {word}")
    model.predict(prompt, word="two")
    "".join(model.stream(prompt, word="two"))
    await model.apredict(prompt, word="two")
    "".join([delta async for delta in await model.astream(prompt, word="two")])
    assert counter.total_llm_token_count == 4 * 9
    assert len(log.named("LLMCompletionStartEvent")) == len(log.named("LLMCompletionEndEvent")) == 4
    assert turns.taken == 4


@pytest.mark.parametrize("kind", ["Completion", "Chat"])
async def test_so_it_is_when_an_object_is_predicted(
    serve: Callable[..., EmulatedEndpoint], model: DataCrunch, log: Log, turns: Limiter, kind: str
) -> None:
    """`structured_predict` reports each call once."""
    endpoint = serve(answers='{"place": "Finland"}')
    counter = TokenCountingHandler(tokenizer=lambda _: [])
    model = model.model_copy(
        update={"base_url": endpoint.url, "is_chat_model": kind == "Chat"}
        | {"callback_manager": CallbackManager([counter])}
    )
    # Each has a prompt of its own: LlamaIndex's programs write into the one that they are given.
    assert model.structured_predict(Home, PromptTemplate("Where?")) == Home(place="Finland")
    assert await model.astructured_predict(Home, PromptTemplate("Where?")) == Home(place="Finland")
    ends = log.named(f"LLM{kind}EndEvent")
    assert len(log.named(f"LLM{kind}StartEvent")) == len(ends) == 2
    usages = [end.model_dump()["response"]["raw"]["usage"] for end in ends]
    assert counter.total_llm_token_count == sum(usage["total_tokens"] for usage in usages)
    assert len(log.named("StructuredPredictStartEvent")) == 2
    made: list[Any] = log.named("StructuredPredictEndEvent")
    assert [event.output for event in made] == [Home(place="Finland")] * 2
    structured = model.as_structured_llm(Home)  # which reports its own calls in its own events
    assert structured.complete("Where?").raw == Home(place="Finland")
    assert (await structured.acomplete("Where?")).raw == Home(place="Finland")
    assert turns.taken == len(endpoint.requests) == len(counter.llm_token_counts) == 4


@pytest.mark.parametrize("options", [{}, {"details": False}], ids=["details", "no details"])
async def test_a_counter_counts_what_the_server_does_not_report(
    serve: Callable[..., EmulatedEndpoint], ask: Ask, options: dict[str, Any]
) -> None:
    """TokenCountingHandler counts by itself what the server does not report."""
    counter = TokenCountingHandler(tokenizer=str.split)
    model = DataCrunch(
        base_url=serve(answers="Hello there, my friend", dialect="1.1.1").url,
        callback_manager=CallbackManager([counter]),
    )
    await ask(model, "one two", **options)
    (expected,) = counter.llm_token_counts
    assert expected.prompt_token_count > 0
    assert expected.completion_token_count > 0


async def test_a_budget_of_tokens_is_kept(model: DataCrunch, ask: Ask) -> None:
    """A token budget refuses the call after it is used up."""
    budget = TokenCountingHandler(tokenizer=lambda _: [], token_budget=9)
    model.callback_manager = CallbackManager([budget])
    await ask(model, "one two")
    with pytest.raises(ValueError, match="Token budget exceeded"):
        await ask(model, "one two")


async def test_the_end_event_holds_the_complete_answer(
    model: DataCrunch, log: Log, ask: Ask
) -> None:
    """The end event has the complete answer."""
    last = (await ask(model))[-1]
    (end,) = log.named("EndEvent")
    response = end.model_dump()["response"]
    assert (response["raw"], len(response["logprobs"])) == (last.raw, 6)


async def test_a_failed_call_ends_its_event_with_the_error(
    model: DataCrunch, endpoint: EmulatedEndpoint, counter: TokenCountingHandler, ask: Ask
) -> None:
    """The end event of a failed call has the error."""
    ended: list[Any] = []
    counter.on_event_end = lambda _, payload=None, **__: ended.append(payload)  # type: ignore[method-assign]  # a spy
    endpoint.fail_next(status=401)
    with pytest.raises(AuthenticationError) as caught:
        await ask(model)
    assert [payload["exception"] for payload in ended] == [caught.value]


async def test_events_name_the_model_and_its_temperature(
    model: DataCrunch, log: Log, ask: Ask
) -> None:
    """Start events have the model's name and temperature."""
    listening = LlamaDebugHandler(print_trace_on_end=False)
    warm = model.model_copy(update={"temperature": 0.5})
    warm.callback_manager = CallbackManager([listening])
    await ask(warm)
    ((start, _),) = listening.get_llm_inputs_outputs()
    (event,) = log.named("StartEvent")
    for expected in (event.model_dump()["model_dict"], (start.payload or {})["serialized"]):
        assert expected["class_name"] == "DataCrunch"
        assert (expected["model"], expected["temperature"]) == ("tgi", 0.5)
    # The lowest llama-index-core puts `to_dict` into its events, newer ones this.
    assert warm.to_payload().items() >= warm.metadata.model_dump().items()


async def test_no_event_holds_a_secret(
    model: DataCrunch, log: Log, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither events nor logs contain a secret."""
    listening = LlamaDebugHandler(print_trace_on_end=False)
    model.callback_manager = CallbackManager([listening])
    with caplog.at_level(logging.DEBUG):
        await ask(model)
    expected = f"{log.events}{[event.model_dump() for event in log.events]}"
    called = f"{[event.payload for event in listening.get_events()]}"
    for heard in (expected, called, caplog.text):
        assert len(heard) > 100
        assert "sk-" not in heard


@pytest.mark.parametrize("name", ["api_key", "headers", "temprature"])
async def test_what_no_call_can_have_is_refused_before_any_event(
    model: DataCrunch, log: Log, ask: Ask, name: str
) -> None:
    """Secrets and unknown arguments are refused before any event."""
    with pytest.raises(ArgumentError, match=f"^{name}"):
        await ask(model, **{name: "sk-in-a-call"})
    assert not log.named("StartEvent")
    assert "sk-" not in repr(log.events)
