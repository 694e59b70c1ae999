"""Remove secrets and the prompt from the messages of servers and proxies. Pure."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from datacrunch_tgi._errors import REDACTED
from datacrunch_tgi._protocol._excerpts import Excerpts, excerpts
from datacrunch_tgi._protocol._spellings import folded, has_escapes, spellings

LONGEST_SEARCHED = 4096
"""Longest message that is searched, in characters; the rest is dropped."""
SHORTEST_SECRET = 8
"""Shortest value, or part of one, that counts as a secret; shorter ones are placeholders."""
SHORTEST_FOLDED = 6
"""Shortest text that is searched for, in the characters that are compared."""
SHORTEST_EXCERPT = 16
"""Shortest excerpt of the prompt, in characters without white space (about twenty with it). A shorter
prompt is searched for as a whole, unless it is a single word."""

SECRET_NAME = re.compile(
    r"(?i)auth(?!or(?!i))|token|secret|passw|pwd|credential|cookie|session|signature|jwt|key(?!word)"
)
_NOTHING = Excerpts()


def prompt_excerpts(prompt: str, messages: Iterable[str]) -> Excerpts:
    """Return what messages repeat of the prompt. One search serves all messages, because it is the cost."""
    searched = [words[:LONGEST_SEARCHED] for words in messages if len(words) >= SHORTEST_SECRET]
    text = _prose(prompt) if searched and len(prompt) >= SHORTEST_SECRET else ""
    if len(text) < SHORTEST_FOLDED:
        return _NOTHING
    spelled = [each for words in searched for each in spellings(words)]
    return excerpts(text, spelled, min(SHORTEST_EXCERPT, len(text)))


class Redactor:
    """Removes a client's secrets: those in its headers and in its proxy's URL.

    Args:
        headers: The client's headers, including Authorization; their names decide which are secret.
        proxy: URL of the proxy in use.
    """

    def __init__(
        self, headers: Iterable[tuple[str, SecretStr]] = (), proxy: SecretStr | None = None
    ) -> None:
        self._headers, self._proxy = tuple(headers), proxy

    def redact(self, words: str, prompt: Excerpts = _NOTHING) -> str:
        """Return the message of a server, a proxy or a library without secrets and what it repeats of the prompt."""
        words = words[:LONGEST_SEARCHED]
        if not (prompt.runs or self._may_repeat_secrets(words)):
            return words
        spelled = spellings(words)
        texts = [message.text for message in spelled]
        repeated = [
            excerpts(secret, spelled, min(SHORTEST_SECRET, len(secret)))
            for secret in self._secrets()
            if _may_have_part(secret, texts)
        ]
        spans = [
            span
            for each in (prompt, *repeated)
            for message in spelled
            for span in each.find(message)
        ]
        return _starred(words, spans)

    def _may_repeat_secrets(self, words: str) -> bool:
        """Return quickly, because it is called for the headers of each response."""
        if has_escapes(words):
            return True
        texts = [folded(words)]
        return any(_may_have_part(secret, texts) for secret in self._secrets())

    def _secrets(self) -> Iterator[str]:
        """Yield the secrets, folded, in each form in which they may be repeated."""
        for secret in self._unfolded_secrets():
            if len(secret) >= SHORTEST_SECRET and len(text := folded(secret)) >= SHORTEST_FOLDED:
                yield text

    def _unfolded_secrets(self) -> Iterator[str]:
        for name, value in self._headers:
            if SECRET_NAME.search(name):
                yield from _header_secrets(name, value.get_secret_value())
        if self._proxy:
            parts = urlsplit(self._proxy.get_secret_value())
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            yield from (password or user, parts.password or "")
            yield b64encode(f"{user}:{password}".encode()).decode() if user or password else ""


def _may_have_part(secret: str, texts: Iterable[str]) -> bool:
    """Return whether a text has one of the blocks of which each part of the secret contains one."""
    block = SHORTEST_SECRET // 2
    every = SHORTEST_SECRET - block + 1
    blocks = [secret[at : at + block] for at in range(0, len(secret) - block + 1, every)]
    return any(each in text for text in texts for each in blocks)


def _header_secrets(name: str, value: str) -> Iterator[str]:
    if "cookie" in name.lower():
        for pair in value.split(";"):
            yield pair.partition("=")[2].strip()
        return
    scheme, _, token = value.strip().partition(" ")  # as in "Bearer …"
    yield token.strip() or scheme
    if scheme.lower() == "basic":
        try:
            yield b64decode(token).decode(errors="replace").partition(":")[2]
        except Base64Error:
            return


def _prose(prompt: str) -> str:
    """Return the folded prompt; "" for a single word, which reveals nothing."""
    is_short = len(prompt) < SHORTEST_EXCERPT
    is_word = is_short and prompt.isascii() and prompt.isidentifier()
    return "" if is_word and not re.search("[0-9]", prompt) else folded(prompt)


def _starred(words: str, found: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    place = 0
    for begin, end in sorted(found):
        if begin > place or not pieces:
            pieces += [words[place:begin], REDACTED]
        place = max(place, end)
    return "".join([*pieces, words[place:]])


def without_user_and_query(url: str) -> str:
    """Return an address without what may be secret in it; "" for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
