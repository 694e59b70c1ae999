"""The window: from the user or from the server, and kept to by every prompt that LlamaIndex packs."""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import llama_index.core
import pytest
from llama_index.core import Settings, get_response_synthesizer
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore, TextNode

from datacrunch_tgi import ArgumentError, MalformedResponseError, NotFoundError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Serve = Callable[..., EmulatedEndpoint]
Limited = Callable[[DataCrunch], Awaitable[DataCrunch]]
Encode = Callable[[str], list[int]]

LICENSE = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")
"""A long document: 6000 tokens of the tiny Llama, 2300 of LlamaIndex's own tokenizer."""
QUESTION = "What may I do?"
MODES = [
    ResponseMode.COMPACT,
    ResponseMode.REFINE,
    ResponseMode.TREE_SUMMARIZE,
    ResponseMode.COMPACT_ACCUMULATE,
]
"""Those that pack. Not simple_summarize: LlamaIndex counts the text, and sends Python's repr of it."""


@pytest.fixture(params=["fetch_server_limits", "afetch_server_limits"])
def limited(request: pytest.FixtureRequest) -> Limited:
    """Copy a model with its server's limits, in a thread and in an event loop."""

    async def ask(model: DataCrunch) -> DataCrunch:
        copy: Any = getattr(model, request.param)()
        return await copy if inspect.isawaitable(copy) else copy  # type: ignore[no-any-return]

    return ask


@pytest.mark.parametrize(
    ("limits", "max_tokens", "meant"),
    [
        ((1024, 2048), 100, (1124, 100)),
        ((1024, 2048), 1500, (2048, 1500)),
        ((1024, 2048), None, (2048, 1024)),
        ((4095, 4096), None, (4096, 512)),
    ],
)
async def test_the_window_is_what_the_server_takes_at_most(
    serve: Serve,
    limited: Limited,
    limits: tuple[int, int],
    max_tokens: int | None,
    meant: tuple[int, int],
) -> None:
    """The context window comes from the server's limits."""
    longest, total = limits
    for dialect in ("1.1.1", "3.3.7"):  # which call the first limit by different names
        endpoint = serve(
            answers="Hello", dialect=dialect, max_input_tokens=longest, max_total_tokens=total
        )
        expected = (
            await limited(DataCrunch(base_url=endpoint.url, max_tokens=max_tokens))
        ).metadata
        assert (expected.context_window, expected.num_output) == meant
        assert [request.path for request in endpoint.requests] == ["/info"]


async def test_the_limits_are_a_copys_and_the_model_stays_as_it_was(
    model: DataCrunch, endpoint: EmulatedEndpoint, limited: Limited
) -> None:
    """`fetch_server_limits` returns a copy and does not change the model."""
    copy = await limited(model)
    assert (copy.context_window, copy.max_new_tokens) == (2048, 1024)
    assert (model.context_window, model.max_new_tokens) == (DEFAULT_CONTEXT_WINDOW, None)
    assert copy.complete("Hi").text == "Hello there, my friend"
    assert endpoint.requests[-1].json["parameters"]["max_new_tokens"] == 1024


async def test_a_server_that_reports_no_limits_is_an_error(serve: Serve, limited: Limited) -> None:
    """A server without limits raises an error that says what to pass."""
    base_url = f"{serve(answers='Hello').url}/v1/completions"  # where there is nothing
    with pytest.raises(NotFoundError):
        await limited(DataCrunch(base_url=base_url))
    for useless in ({"max_total_tokens": 0}, {"max_input_tokens": None}):
        model = DataCrunch(base_url=serve(answers="Hello", **useless).url)
        (expected,) = useless.items()
        with pytest.raises(
            MalformedResponseError, match=f"{expected[0]}={expected[1]}.*Pass context_win"
        ):
            await limited(model)


async def test_an_answer_that_leaves_no_room_within_the_servers_limits_is_refused(
    model: DataCrunch, limited: Limited
) -> None:
    """`max_new_tokens` must be less than the server's context window."""
    wordy = model.model_copy(update={"max_new_tokens": 2048})
    with pytest.raises(
        ArgumentError, match=r"max_new_tokens=2048: .*less than context_window=2048"
    ):
        await limited(wordy)


def test_the_tokens_of_a_template_are_taken_from_the_window(encode: Encode) -> None:
    """The tokens of the template are subtracted from the context window."""
    url = "http://127.0.0.1:9"
    templates: dict[str, Any] = {
        "completion_to_prompt": lambda prompt: f"[INST] {prompt} [/INST]",
        "messages_to_prompt": lambda messages: f"[INST] Chat: {messages[-1].content} [/INST]",
    }
    prompts = DataCrunch(base_url=url, context_window=2048, tokenizer=encode, **templates)
    assert prompts.metadata.context_window == 2048 - len(encode("[INST]  [/INST]"))
    chats = prompts.model_copy(update={"is_chat_model": True})
    assert chats.metadata.context_window == 2048 - len(encode("[INST] Chat:  [/INST]"))
    unknown = DataCrunch(base_url=url, context_window=2048, **templates)
    assert unknown.metadata.context_window == 2048


def test_metadata_counts_a_template_once_and_again_when_it_changes(encode: Encode) -> None:
    """A look at `metadata` costs no tokenizing, and still follows every change of the model."""
    counted = list[str]()

    def count(text: str) -> list[int]:
        counted.append(text)
        return encode(text)

    model = DataCrunch(base_url="http://127.0.0.1:9", context_window=2048, tokenizer=count)
    windows = [model.metadata.context_window for _ in range(3)]
    model.chat_template = "llama-2"
    windows += [model.metadata.context_window for _ in range(3)]
    model.is_chat_model = False
    windows += [model.metadata.context_window for _ in range(3)]
    plain, templated = 2048 - len(encode("a")), 2048 - len(encode("[INST] a [/INST]"))
    assert windows == [plain] * 3 + [templated] * 3 + [plain] * 3
    assert len(counted) == 3


def test_the_global_tokenizer_counts_words_as_they_stand_in_a_text(encode: Encode) -> None:
    """The global tokenizer counts words as they count inside a text."""
    DataCrunch(base_url="http://127.0.0.1:9", tokenizer=encode).set_global_tokenizer()
    first, *others = LICENSE.split(" ")
    counted = [len(Settings.tokenizer(word)) for word in [first, *(f" {word}" for word in others)]]
    assert sum(counted) == pytest.approx(len(encode(LICENSE)), abs=2)


def test_a_global_tokenizer_of_a_model_without_one_is_refused(model: DataCrunch) -> None:
    """`set_global_tokenizer` requires `tokenizer`."""
    with pytest.raises(ArgumentError, match="tokenizer: is required"):
        model.set_global_tokenizer()
    assert llama_index.core.global_tokenizer is None


@pytest.fixture(scope="module")
def one_word_memory(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama without its layers: fast, of few words, and with the same tokenizer."""
    folder = copytree(tiny_llama, tmp_path_factory.mktemp("llama") / "one-word-memory")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 0}))
    return folder


def instruction(prompt: str) -> str:
    return f"<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{prompt} [/INST]"


def conversation(messages: Sequence[ChatMessage]) -> str:
    system = "\n".join(f"{message.content}" for message in messages if message.role == "system")
    others = "\n".join(f"{message.content}" for message in messages if message.role != "system")
    return f"<s>[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{others} [/INST]"


@pytest.fixture(params=["prompts", "chats"])
def templates(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Templates that add tokens to each prompt, as Llama 2 wants them."""
    return {
        "system_prompt": "Say what is said there, and nothing else.",
        "completion_to_prompt": instruction,
        "messages_to_prompt": conversation,
        "is_chat_model": request.param == "chats",
    }


@pytest.fixture(params=[1024, pytest.param(2048, marks=pytest.mark.slow), 4096])
def small_window(
    request: pytest.FixtureRequest, one_word_memory: Path
) -> Iterator[EmulatedEndpoint]:
    """An endpoint that refuses each prompt that leaves an answer no room in its window."""
    limits = {"max_input_tokens": request.param - 1, "max_total_tokens": request.param}
    with EmulatedEndpoint(model=one_word_memory, **limits) as endpoint:
        yield endpoint


@pytest.mark.parametrize("mode", MODES)
async def test_no_prompt_that_llamaindex_packs_is_refused(
    small_window: EmulatedEndpoint, encode: Encode, templates: dict[str, Any], mode: ResponseMode
) -> None:
    """Every prompt that LlamaIndex packs fits the server."""
    model = DataCrunch(base_url=small_window.url, max_tokens=64, tokenizer=encode, **templates)
    model = await model.afetch_server_limits()
    model.set_global_tokenizer()
    synthesizer = get_response_synthesizer(llm=model, response_mode=mode, use_async=True)
    text = LICENSE[: 4 * model.context_window]  # or all of it: one and a half to two windows
    await synthesizer.asynthesize(QUESTION, [NodeWithScore(node=TextNode(text=text))])
    _, *requests = small_window.requests
    assert len(requests) > 1
    assert {request.status for request in requests} == {200}


def test_the_window_is_filled(
    small_window: EmulatedEndpoint, encode: Encode, templates: dict[str, Any]
) -> None:
    """LlamaIndex uses at least 95 percent of the context window."""
    model = DataCrunch(base_url=small_window.url, max_tokens=64, tokenizer=encode, **templates)
    model = model.fetch_server_limits()
    model.set_global_tokenizer()
    synthesizer = get_response_synthesizer(llm=model, response_mode=ResponseMode.TREE_SUMMARIZE)
    synthesizer.synthesize(QUESTION, [NodeWithScore(node=TextNode(text=LICENSE))])
    _, first, *_ = small_window.requests
    assert len(encode(first.json["inputs"])) > 0.95 * (model.context_window - 64)
