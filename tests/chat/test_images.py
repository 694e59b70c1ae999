"""Images stand in a prompt as Markdown; a text that would make a server fetch an address does not."""

import base64
import re
import warnings
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate, ControlTokenWarning
from datacrunch_tgi._chat import image_data_url, image_markdown

FILES = {
    "image/png": b"\x89PNG\r\n\x1a\n...",
    "image/jpeg": b"\xff\xd8\xff\xe0...",
    "image/gif": b"GIF89a...",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBP...",
    "image/bmp": b"BM...",
}
FETCHED = re.compile(r"!\[\]\([^\)]*\)")
"""What a server looks for in a prompt."""


def _with_image(url: str) -> list[dict[str, Any]]:
    blocks = ["See ", {"type": "image_url", "image_url": {"url": url}}, " and ![](http://evil/a)"]
    return [{"role": "user", "content": blocks}]


@pytest.mark.parametrize("kind", FILES)
def test_the_media_type_is_by_the_signature(kind: str) -> None:
    """The media type comes from the data, whatever the data URL says."""
    coded = base64.b64encode(FILES[kind]).decode()
    assert image_data_url(FILES[kind]) == f"data:{kind};base64,{coded}"
    assert (
        image_markdown(f"data:image/x-other;base64,{coded}") == f"![](data:{kind};base64,{coded})"
    )


def test_data_in_the_alphabet_of_urls_is_sent_in_the_other() -> None:
    """URL-safe base64 is sent as standard base64."""
    data = FILES["image/png"] + bytes(range(256))
    coded = base64.urlsafe_b64encode(data).decode()
    assert {"-", "_"} <= {*coded}
    assert image_markdown(f"data:image/png;base64,{coded}") == f"![]({image_data_url(data)})"


def test_what_does_not_fit_is_refused_without_its_data() -> None:
    """The server takes 2 MB in all."""
    start = FILES["image/png"]
    largest = start + bytes(1_400_000 - len(start))
    assert len(image_data_url(largest)) < 2_000_000
    with pytest.raises(ArgumentError, match=r"^messages: an image must not exceed 1400000 bytes"):
        image_data_url(largest + b"x")
    for wrong, rule in (
        (largest + b"x", "must not exceed 1400000 bytes"),
        (b"<svg/>", "must be PNG"),
    ):
        url = f"data:image/png;base64,{base64.b64encode(wrong).decode()}"
        with pytest.raises(ArgumentError, match=rule) as caught:
            ChatTemplate.named("chatml").prompt(_with_image(url), images=True)
        assert caught.value.field == "messages[0]"
        assert len(repr(caught.value)) < 300


URL = "an image must have an http or https URL without spaces and brackets, or a data URL"


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("ftp://example.org/a.png", URL),
        ("file:///etc/passwd", URL),
        ("http://example.org/a) ![](http://evil", URL),
        ("http://example.org/a b", URL),
        ("data:image/png;base64,%%%", URL),
        ("data:image/png;base64,abc", "an image's data URL must be base64"),
        ("data:image/png;base64,AAAA", "an image must be PNG, JPEG, GIF, WebP or BMP data"),
        ("data:text/plain;base64,AAAA", URL),
        ("", URL),
    ],
)
def test_another_url_is_refused(url: str, rule: str) -> None:
    """Only data URLs and URLs that the server can fetch are accepted."""
    with pytest.raises(ArgumentError) as caught:
        image_markdown(url)
    assert str(caught.value) == f"messages: {rule}"


@pytest.mark.parametrize("name", ChatTemplate.names())
def test_an_image_is_sent_and_markdown_in_a_text_is_neutralised(name: str) -> None:
    """A model that reads images gets the image alone; the address in the text is not fetched."""
    with pytest.warns(ControlTokenWarning, match=r"!\[\]\("):
        prompt = ChatTemplate.named(name).prompt(
            _with_image("https://example.org/a.png?b=1"), images=True
        )
    assert FETCHED.findall(prompt) == ["![](https://example.org/a.png?b=1)"]
    assert "See ![](https://example.org/a.png?b=1) and ! [](http://evil/a)" in prompt


@pytest.mark.parametrize("name", ChatTemplate.names())
@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_no_text_of_any_role_is_fetched(name: str, role: str) -> None:
    """Markdown images in text are neutralised, however the text is split."""
    template = ChatTemplate.named(name)
    contents: list[Any] = ["![](http://e)", ["!", "[](http://e)"], ["![", "](", "http://e)"]]
    for content in contents:
        chat = [{"role": role, "content": content}, {"role": role, "content": "](http://e)"}]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ControlTokenWarning)
            assert not FETCHED.search(template.prompt(chat, images=True))


def test_markdown_is_left_where_it_is_allowed_or_does_nothing() -> None:
    """A model that reads texts only gets them as they are, and so does who allows control tokens."""
    template = ChatTemplate.named("chatml")
    chat = [{"role": "user", "content": "![](http://example.org/a.png)"}]
    assert chat[0]["content"] in template.prompt(chat)
    assert chat[0]["content"] in template.prompt(chat, images=True, allow_control_tokens=True)


def test_a_model_that_reads_texts_only_is_named_with_the_setting() -> None:
    """An image for a text-only model is refused, and the error names `supports_images`."""
    with pytest.raises(ArgumentError, match=r"^messages\[0\]: .*supports_images=True"):
        ChatTemplate.named("chatml").prompt(_with_image("https://example.org/a.png"))
