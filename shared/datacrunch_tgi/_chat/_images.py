"""Images in a prompt, as Markdown `![](URL)`, which TGI (2.0 and newer) replaces by the image. Pure."""

import base64
import binascii
import re
import secrets

from datacrunch_tgi._errors import ArgumentError

MAX_IMAGE_BYTES = 1_400_000
"""Largest image, in bytes: in base64 it just fits into TGI's largest body, 2 MB."""
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}
_DATA_URL = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/=_-]+)", re.ASCII)
_WEB_URL = re.compile(r"https?://[^\s()<>\"]+")
MARKDOWN = "![]("
"""What makes a server fetch a URL, also in the texts of a conversation."""


def image_data_url(data: bytes) -> str:
    """Return the data URL of an image.

    Args:
        data: The bytes of a PNG, JPEG, GIF, WebP or BMP file, at most 1.4 MB.

    Raises:
        ArgumentError: The image has another format, or is too large.
    """
    kind = media_type(data)
    if kind is None:
        raise ArgumentError("messages", "an image must be PNG, JPEG, GIF, WebP or BMP data")
    if len(data) > MAX_IMAGE_BYTES:
        rule = f"an image must not exceed {MAX_IMAGE_BYTES} bytes (the server's limit is 2 MB), not {len(data)}"
        raise ArgumentError("messages", rule)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def media_type(data: bytes) -> str | None:
    """Return an image's media type by its first bytes; None if the format is not supported."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)


def image_markdown(url: str) -> str:
    """Return the Markdown for an image in a prompt.

    Args:
        url: An http or https URL, which the server fetches, or a data URL.

    Raises:
        ArgumentError: The URL is neither, or its data is not an image.
    """
    if match := _DATA_URL.fullmatch(url):
        try:
            data = base64.b64decode(match[2].translate(str.maketrans("-_", "+/")), validate=True)
        except binascii.Error:
            raise ArgumentError("messages", "an image's data URL must be base64") from None
        url = image_data_url(data)
    elif not _WEB_URL.fullmatch(url):
        rule = "an image must have an http or https URL without spaces and brackets, or a data URL"
        raise ArgumentError("messages", rule)
    return f"{MARKDOWN}{url})"


class Inserts:
    """Texts that are inserted into the final prompt, so that no template and no check sees them."""

    def __init__(self) -> None:
        self._key = secrets.token_hex(8)
        self._texts = list[str]()

    def add(self, text: str) -> str:
        """Add a text; return the placeholder for it."""
        self._texts.append(text)
        return f"insert-{self._key}-{len(self._texts) - 1};"

    def fill(self, prompt: str) -> str:
        """Replace the placeholders in a prompt."""
        if not self._texts:
            return prompt
        pattern = rf"insert-{self._key}-(\d+);"
        return re.sub(pattern, lambda found: self._texts[int(found[1])], prompt)
