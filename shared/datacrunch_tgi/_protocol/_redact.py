"""Remove secrets and the prompt from the messages of servers and proxies. Pure.

A server may repeat a text truncated, with its white space folded, or escaped for JSON, Python, Rust, HTML
or a URL. So both texts are compared without white space and the characters that such escapes change, the
server's both as it is and unescaped, and every run of characters that they have in common is replaced:

    secret or prompt ──► each nth block of a few characters
                               │ that is in the server's message too
                               ▼
    server's message ──► the runs around such blocks, looked up in the secret ──► stars

The prompt may have a million characters, so it is not indexed; the server's message is short.
"""

import re
import sys
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from datacrunch_tgi._errors import REDACTED

LONGEST_SEARCHED = 4096
"""Longest message that is searched, in characters; the rest is dropped."""
SHORTEST_SECRET = 8
"""Shortest value, or part of one, that counts as a secret; shorter ones are placeholders."""
SHORTEST_WORD = 16
"""The same for a part made of lower-case letters only, which is more often a word than a secret."""
SHORTEST_EXCERPT = 16
"""Shortest excerpt of the prompt, in characters without white space (about twenty with it). A shorter
prompt is searched for as a whole, unless it is a single word."""

SECRET_NAME = re.compile(
    r"(?i)auth(?!or(?!i))|token|secret|passw|pwd|credential|cookie|session|signature|jwt|key(?!word)"
)
_IGNORED = " \t\n\r\f\v\xa0\u3000\\\"'`/&<>%+"
"""White space, and the characters that escapes start with or replace."""
_ESCAPE_MARKS = "\\%&"
_ESCAPE = re.compile(
    r"""(?x)
    \\+u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\+u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})  # JSON, two halves
    | \\+(?:u\{(?P<rust>[0-9a-fA-F]{1,6})\}|u(?P<json>[0-9a-fA-F]{4})|U(?P<python>[0-9a-fA-F]{8}))
    | (?P<bytes>(?:\\+x|%(?:25)*)[c-fC-F][0-9a-fA-F](?:(?:\\+x|%(?:25)*)[89abAB][0-9a-fA-F]){1,3})
    | (?:\\+x|%(?:25)*)(?P<byte>[0-9a-fA-F]{2})
    | \\+[abefnrtv0]  # white space and control characters
    | &(?:amp;)*(?P<html>\#?[0-9A-Za-z]{2,31};)
    """
)


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

    def redact(self, words: str, prompt: str = "") -> str:
        """Return the message of a server, a proxy or a library without secrets and the prompt."""
        words = words[:LONGEST_SEARCHED]
        if not (prompt or self._may_repeat_secrets(words)):
            return words
        forms = [_literal(words), _unescaped(words)]
        found: list[tuple[int, int]] = []
        for secret in self._secrets():
            found += _find(forms, _folded(secret), SHORTEST_SECRET)
        if (
            len(forms[0].text) >= SHORTEST_SECRET
            and len(folded := _prose(prompt)) >= SHORTEST_SECRET
        ):
            found += _find(forms, folded, min(SHORTEST_EXCERPT, len(folded)))
        return _starred(words, found)

    def _may_repeat_secrets(self, words: str) -> bool:
        """Return quickly, because it is called for the headers of each response."""
        folded = _folded(words)
        size, every = _block(SHORTEST_SECRET)
        return any(mark in words for mark in _ESCAPE_MARKS) or any(
            secret[at : at + size] in folded
            for secret in map(_folded, self._secrets())
            for at in range(0, len(secret) - size + 1, every)
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
    return "" if is_word and not re.search("[0-9]", prompt) else _folded(prompt)


def _folded(text: str) -> str:
    for character in _IGNORED:  # much faster than str.translate if the text is not ASCII
        text = text.replace(character, "")
    return text


class _Form:
    """A folded message, and for each of its characters the span in the original."""

    def __init__(self, characters: Iterable[tuple[str, int, int]]) -> None:
        kept = [each for each in characters if each[0] not in _IGNORED]
        self.text = "".join(character for character, _, _ in kept)
        self.spans = [(begin, end) for _, begin, end in kept]


def _find(forms: list[_Form], secret: str, shortest: int) -> Iterator[tuple[int, int]]:
    """Yield the spans in the message of all runs of at least `shortest` characters that are in the secret."""
    size = shortest * 3 // 4
    every = shortest - size + 1  # each such run of the secret contains one of the blocks
    blocks = {
        form.text[place : place + size]
        for form in forms
        for place in range(len(form.text) - size + 1)
    }
    shared = {
        block
        for at in range(0, len(secret) - size + 1, every)
        if (block := secret[at : at + size]) in blocks
    }
    for form in forms:
        place = 0
        while place + size <= len(form.text):
            if form.text[place : place + size] in shared:
                for begin in range(max(0, place - every + 1), place + 1):
                    end = _end_of_run(form.text, begin, secret, shortest)
                    if end:
                        yield form.spans[begin][0], form.spans[end - 1][1]
                        place = end - size
                        break
            place += 1


def _block(shortest: int) -> tuple[int, int]:
    """The size of blocks, and every how many characters one begins, so that each run has one in it."""
    size = shortest * 3 // 4
    return size, shortest - size + 1


def _end_of_run(text: str, begin: int, secret: str, shortest: int) -> int:
    """Return the end of the run at `begin` that is in the secret too; 0 if there is none."""
    end = begin + shortest
    at = secret.find(text[begin:end]) if end <= len(text) else -1
    if at < 0:
        return 0
    last = min(len(text), begin + len(secret) - at)
    while end < last and text[end] == secret[at - begin + end]:
        end += 1
    run = text[begin:end]
    is_word = run.isalpha() and run.islower() and len(run) < SHORTEST_WORD
    return end if run == secret or not is_word else 0


def _literal(words: str) -> _Form:
    return _Form((character, place, place + 1) for place, character in enumerate(words))


def _unescaped(words: str) -> _Form:
    def characters() -> Iterator[tuple[str, int, int]]:
        place = 0
        for escape in _ESCAPE.finditer(words):
            for before in range(place, escape.start()):
                yield words[before], before, before + 1
            place = escape.end()
            for character in _meaning(escape):
                yield character, escape.start(), place
        for after in range(place, len(words)):
            yield words[after], after, after + 1

    return _Form(characters())


def _meaning(escape: re.Match[str]) -> str:
    if html := escape["html"]:
        return unescape(f"&{html}")
    if high := escape["high"]:
        return bytes.fromhex(high + escape["low"]).decode("utf-16-be")
    if several := escape["bytes"]:
        pairs = re.findall(r"(?:x|%(?:25)*)([0-9a-fA-F]{2})(?![0-9a-fA-F])", several)
        encoded = bytes.fromhex("".join(pairs))
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            return encoded.decode("latin-1")
    code = escape["rust"] or escape["json"] or escape["python"] or escape["byte"]
    return chr(int(code, 16)) if code and int(code, 16) <= sys.maxunicode else ""


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
