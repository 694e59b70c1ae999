"""Histories of any provider become prompts: text is kept, what no prompt can hold is named."""

import base64
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.conftest import TEMPLATES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
)
EACH_TEMPLATE = pytest.mark.parametrize("template", [*TEMPLATES, None])
"""Every bundled template, and none, where LlamaIndex writes `user: …`."""
SAID = TextBlock(text="Let me see.")


def sent(endpoint: EmulatedEndpoint, *messages: ChatMessage, **options: Any) -> str:
    """Return the prompt of a chat."""
    DataCrunch(base_url=endpoint.url, **options).chat([*messages])
    return str(endpoint.requests[-1].json["inputs"])


@EACH_TEMPLATE
@pytest.mark.parametrize(
    "blocks",
    [
        [ThinkingBlock(content="secretly"), SAID],
        [SAID, CachePoint(cache_control=CacheControl(type="ephemeral"))],
        [
            SAID,
            CitationBlock(
                cited_content=TextBlock(text="secretly"),
                source="a",
                title="b",
                additional_location_info={},
            ),
        ],
        [CitableBlock(title="a", source="b", content=[SAID])],
        [DocumentBlock(data=b"Let me see.", document_mimetype="text/plain")],
        [DocumentBlock(data=b"Let me see.")],
    ],
    ids=["thinking", "cache point", "citation", "citable", "text document", "unknown document"],
)
def test_text_is_taken_and_marks_for_other_providers_are_dropped(
    endpoint: EmulatedEndpoint, template: str | None, blocks: list[Any]
) -> None:
    """The prompt is the one of a message with the text alone."""
    conversation = [
        [ChatMessage("So?"), ChatMessage(role="assistant", blocks=kept), ChatMessage("Why?")]
        for kept in ([SAID], blocks)
    ]
    plain, other = (sent(endpoint, *one, chat_template=template) for one in conversation)
    assert other == plain
    assert "Let me see." in other


def test_the_roles_of_other_providers_are_known(endpoint: EmulatedEndpoint) -> None:
    """Roles of other providers become system, user and assistant."""
    messages = [
        ChatMessage(role="developer", content="Be brief."),
        ChatMessage("So?"),
        ChatMessage(role=MessageRole.MODEL, content="Yes."),
        ChatMessage("Why?"),
        ChatMessage(role=MessageRole.CHATBOT, content="So."),
        ChatMessage("Oh."),
    ]
    prompt = sent(endpoint, *messages, chat_template="chatml")
    roles = [part.split("\n")[0] for part in prompt.split("<|im_start|>")[1:]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user", "assistant"]


CALL = ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 2, "b": 2})
ENTRY = {"id": "1", "function": {"name": "add", "arguments": '{"a": 2, "b": 2}'}}
CALLS = {
    "block": ChatMessage(role="assistant", blocks=[SAID, CALL]),
    "block with JSON": ChatMessage(
        role="assistant",
        blocks=[SAID, CALL.model_copy(update={"tool_kwargs": '{"a": 2, "b": 2}'})],
    ),
    "dictionary": ChatMessage(
        role="assistant", content=SAID.text, additional_kwargs={"tool_calls": [ENTRY]}
    ),
    "object of a client": ChatMessage(
        role="assistant",
        content=SAID.text,
        additional_kwargs={
            "tool_calls": [
                SimpleNamespace(id="1", function=SimpleNamespace(**ENTRY["function"]))  # type: ignore[arg-type]
            ]
        },
    ),
}


@EACH_TEMPLATE
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_history_with_tool_calls_is_sent_completely(
    endpoint: EmulatedEndpoint, template: str | None, call: ChatMessage
) -> None:
    """The call, its arguments, the text beside it and the result are in the prompt, whoever wrote them."""
    result = ChatMessage(role="tool", content="four", additional_kwargs={"tool_call_id": "1"})
    prompt = sent(
        endpoint, ChatMessage("2+2?"), call, result, ChatMessage("Thanks"), chat_template=template
    )
    argument = "<parameter=a>\n2" if template == "qwen-3-coder" else '"a": 2'
    places = [prompt.find(one) for one in ("2+2?", SAID.text, "add", argument, "four", "Thanks")]
    assert -1 not in places
    assert places == sorted(places)
    assert "None" not in prompt
    assert "tool_call_id" not in prompt


@EACH_TEMPLATE
@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (AudioBlock(audio=b"RIFF", format="wav"), "audio block from user: is not supported"),
        (VideoBlock(video=b"x", video_mimetype="video/mp4"), "video block from user: is not"),
        (
            DocumentBlock(data=b"%PDF-1.4", document_mimetype="application/pdf"),
            "document of type application/pdf from user: .*pass its text in a TextBlock",
        ),
        (DocumentBlock(url="http://127.0.0.1/a.txt"), "document of type .*TextBlock"),
        (DocumentBlock(path="missing.txt"), ".*cannot be read as text: FileNotFoundError"),
        (ImageBlock(image=PNG), "image block from user: this model reads text only"),
    ],
    ids=["audio", "video", "pdf", "document's address", "missing file", "image"],
)
def test_what_cannot_be_sent_is_named_with_its_message(
    endpoint: EmulatedEndpoint, template: str | None, block: Any, expected: str
) -> None:
    """Unsupported content is refused with the message's index and the type."""
    llm = DataCrunch(base_url=endpoint.url, chat_template=template)
    messages = [ChatMessage("Hi"), ChatMessage(role="assistant", content="Yes?")]
    with pytest.raises(ArgumentError, match=rf"messages\[2\]={expected}"):
        llm.chat([*messages, ChatMessage(role="user", blocks=[TextBlock(text="Look"), block])])
    assert not endpoint.requests


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    path = tmp_path / "dot.png"
    path.write_bytes(PNG)
    return path


MADE: dict[str, Callable[[Path], ImageBlock]] = {
    "bytes": lambda _: ImageBlock(image=PNG),
    "base64": lambda _: ImageBlock(image=base64.b64encode(PNG)),
    "path": lambda path: ImageBlock(path=path),
    "data URL": lambda _: ImageBlock(url=f"data:image/png;base64,{base64.b64encode(PNG).decode()}"),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
@pytest.mark.parametrize(
    "options", [{"supports_images": True}, {"model": "Qwen2.5-VL-7B-Instruct"}]
)
def test_a_model_that_reads_images_gets_them_as_markdown(
    endpoint: EmulatedEndpoint,
    image_file: Path,
    make: Callable[[Path], ImageBlock],
    options: dict[str, Any],
) -> None:
    """Images are sent as Markdown if the model reads images."""
    blocks = [TextBlock(text="What is this?"), make(image_file), TextBlock(text="Be brief.")]
    prompt = sent(
        endpoint, ChatMessage(role="user", blocks=blocks), chat_template="chatml", **options
    )
    image = f"![](data:image/png;base64,{base64.b64encode(PNG).decode()})"
    assert f"What is this?{image}Be brief." in prompt


def test_an_image_elsewhere_is_fetched_by_the_server(endpoint: EmulatedEndpoint) -> None:
    """The URL of an image is sent as it is."""
    image = ImageBlock(url="https://example.com/a.png")
    message = ChatMessage(role="user", blocks=[image])
    prompt = sent(endpoint, message, chat_template="chatml", supports_images=True)
    assert "![](https://example.com/a.png)" in prompt


def test_what_is_no_image_is_refused_before_it_is_sent(endpoint: EmulatedEndpoint) -> None:
    """Data that is not an image is refused before any request."""
    llm = DataCrunch(base_url=endpoint.url, chat_template="chatml", supports_images=True)
    for wrong in (ImageBlock(image=b"GIF, or not"), ImageBlock()):
        with pytest.raises(ArgumentError, match=r"messages\[0\]"):
            llm.chat([ChatMessage(role="user", blocks=[wrong])])
    without_template = DataCrunch(base_url=endpoint.url, supports_images=True)
    with pytest.raises(ArgumentError, match="chat_template: is required to send images"):
        without_template.chat([ChatMessage(role="user", blocks=[ImageBlock(image=PNG)])])
    assert not endpoint.requests


@pytest.mark.parametrize("template", ["llama-3.1", "mistral-v7", "llama-2", None])
@pytest.mark.filterwarnings("ignore::datacrunch_tgi.ControlTokenWarning")
def test_odd_calls_of_other_providers_do_not_stop_a_conversation(
    endpoint: EmulatedEndpoint, template: str | None
) -> None:
    """Arguments that are no JSON are sent as text; a call without a name is left out."""
    dated = ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"day": date(2026, 11, 28)})
    nameless = ToolCallBlock(tool_call_id="2", tool_name="", tool_kwargs={})
    foreign = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [{"id": "3"}]})
    called = ChatMessage(role="assistant", blocks=[dated, nameless])
    prompt = sent(endpoint, ChatMessage("So?"), called, foreign, chat_template=template)
    assert "2026-11-28" in prompt
