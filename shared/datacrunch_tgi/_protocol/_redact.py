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
    text = _prose(prompt) if searched else ""
    if len(text) < SHORTEST_SECRET:
        return _NOTHING
    return excerpts(text, searched, min(SHORTEST_EXCERPT, len(text)))


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
        repeated = [prompt] if prompt.runs else []
        if self._may_repeat_secrets(words):
            texts = map(folded, self._secrets())
            repeated += [excerpts(text, [words], SHORTEST_SECRET) for text in texts]
        if not any(each.runs for each in repeated):
            return words
        spelled = spellings(words)
        spans = [span for each in repeated for message in spelled for span in each.find(message)]
        return _starred(words, spans)

    def _may_repeat_secrets(self, words: str) -> bool:
        """Return quickly, because it is called for the headers of each response."""
        if has_escapes(words):
            return True
        words, block = folded(words), SHORTEST_SECRET // 2
        return any(
            text[at : at + block] in words
            for text in map(folded, self._secrets())
            for at in range(0, len(text) - block + 1, SHORTEST_SECRET - block + 1)
        )

    def _secrets(self) -> Iterator[str]:
        """Yield the secrets, in each form in which they may be repeated."""
        for name, value in self._headers:
            if SECRET_NAME.search(name):
                yield from filter(_is_secret, _header_secrets(name, value.get_secret_value()))
        if self._proxy:
            parts = urlsplit(self._proxy.get_secret_value())
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            basic = b64encode(f"{user}:{password}".encode()).decode() if user or password else ""
            yield from filter(_is_secret, (password or user, parts.password or "", basic))


def _is_secret(value: str) -> bool:
    return len(value) >= SHORTEST_SECRET


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
