"""However a server spells a secret or the prompt, it is taken out, and nothing else is."""

import base64
import html
import json
import random
import textwrap
import time
from collections.abc import Callable
from unicodedata import normalize
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

from datacrunch_tgi._protocol._redact import Redactor, prompt_excerpts

KEY = "sk-0123456789/abcdefghij"
PASSWORD = "the-proxys-password"  # noqa: S105 -- made up
PROMPT = (
    'My "card" is\n4111 1111 1111 1111 — naïve, 漢字と仮名交じりの文章です 한국어 😀 <b>ok & go</b>'
)
BASIC = base64.b64encode(f"user>?:{PASSWORD}>?".encode()).decode()
PIN = "1-2-3-4-5-6-7"
REDACTOR = Redactor(
    [
        ("Authorization", SecretStr(f"Bearer {KEY}")),
        ("X-Api-Key", SecretStr(PIN)),
        ("X-Env", SecretStr("production")),
    ],
    SecretStr(f"http://user%3E%3F:{PASSWORD}%3E%3F@proxy.invalid:3128"),
)


def redact(words: str, prompt: str) -> str:
    return REDACTOR.redact(words, prompt_excerpts(prompt, [words]))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "folded": lambda text: " ".join(text.split()),
    "cut": lambda text: f"{text[3:60]}…",
    "json": json.dumps,
    "json, not ascii": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "rust": lambda text: "".join(c if c.isascii() else f"\\u{{{ord(c):x}}}" for c in text),
    "html": html.escape,
    "html twice": lambda text: html.escape(html.escape(text)),
    "html, numbers": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "json in html": lambda text: html.escape(json.dumps(text)),
    "url": quote,
    "url twice": lambda text: quote(quote(text)),
    "form": quote_plus,
    "json three times": lambda text: json.dumps(json.dumps(json.dumps(text))),
    "json in url": lambda text: quote(json.dumps(text)),
    "octal": lambda text: "".join(map("\\{:03o}".format, text.encode())),
    "html, hexadecimal": lambda text: "".join(f"&#X{ord(character):x};" for character in text),
    "html without semicolons": lambda text: "".join(
        character if character.isalnum() else f"&#{ord(character)} " for character in text
    ),
    "url of a script": lambda text: "".join(
        character if character > "\uffff" else f"%u{ord(character):04X}" for character in text
    ),
    "upper case": str.upper,
    "url in lower case": lambda text: quote(text).lower(),
    "decomposed": lambda text: normalize("NFD", text),
    "compatible": lambda text: normalize("NFKC", text),
    "lines of a box": lambda text: "\u2502 " + " \u2502\n\u2502 ".join(textwrap.wrap(text, 9)),
    "broken lines": lambda text: "\\\n  | ".join(textwrap.wrap(text, 7)),
    "list of words": lambda text: str(text.split()),
    "tokens": lambda text: text.replace(" ", "\u0120").replace("\n", "\u010a"),
    "without width": "\u200b".join,
    "nul": lambda text: text.replace(" ", "\0"),
    "another base64": lambda text: text.replace("+", "-").replace("/", "_"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_prompt_is_found_however_it_is_spelled(name: str) -> None:
    """No piece of it is left, and what stands around it is."""
    said = redact(f"cannot handle: {SPELLINGS[name](PROMPT)} too bad", PROMPT)
    assert said.startswith("cannot handle: ")
    assert said.endswith(" too bad")
    assert said.count("**********") == 1
    pieces = ("card", "4111", "na", "漢字", "ok", "6f22")
    assert not any(piece in said.lower() for piece in pieces)


SECRETS = [KEY, PASSWORD, BASIC, KEY[:12], KEY[-12:], PIN]


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name != "cut"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_however_it_is_spelled(secret: str, name: str) -> None:
    """A token without its word, a proxy's password as it is and in Base64, and a part of a key."""
    said = redact(f"unknown: {SPELLINGS[name](secret)}.", "Hello")
    assert "**********" in said
    assert secret[:8].lower() not in said.lower()
    assert secret[-8:].lower() not in said.lower()


@pytest.mark.parametrize("levels", range(4))
def test_backslashes_of_a_prompt_are_not_its_escapes(levels: int) -> None:
    """Formulas and paths contain backslashes, which JSON doubles."""
    prompt = (
        "Solve:\n\\frac{a}{b}\n\\nabla f\n\\theta = 5\nC:\\user\\u1234\n\\rho\n\\beta\nend of it"
    )
    said = prompt
    for _ in range(levels):
        said = json.dumps(said)[1:-1]
    assert redact(f"bad: {said} (see the log)", prompt) == "bad: ********** (see the log)"


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        ("Input validation error: `inputs` must be shorter", "validation"),
        ("set base_url", "base_url"),
        ("no such model in production", "production"),
        ("Model is overloaded", "Is the model of this text overloaded with adjectives?"),
        ("hello", "hello"),
        ("bad: internationalis", "internationalis"),
    ],
)
def test_words_that_are_no_secret_stay(words: str, prompt: str) -> None:
    """A header is secret by its name, and one word of a prompt shows nothing of it."""
    assert redact(words, prompt) == words


def test_a_short_prompt_is_found_when_all_of_it_is_repeated() -> None:
    """A short prompt of several words is redacted if all of it is repeated."""
    for said in ("hello there you", "hello\\nthere  you"):
        assert redact(f"bad: {said}!", "hello there\nyou") == "bad: **********!"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("ab-1-cd2", "**********"), ("ab1-cd2", "ab1-cd2"), ("ab-1-cd-", "ab-1-cd-")],
)
def test_the_shortest_text_that_counts_has_eight_characters(text: str, shown: str) -> None:
    """Six of them are compared; of a prompt or of a secret."""
    redactor = Redactor([("X-Api-Key", SecretStr(text))])
    for before in ("", "bad: "):
        assert redact(before + text, text) == before + shown
        assert redactor.redact(before + text) == before + shown


def test_every_part_of_a_secret_that_counts_is_found() -> None:
    """Eight characters of a key, wherever they begin."""
    key = "0a1b2c3d4e5f6g7h8i9j0k1l"
    redactor = Redactor([("X-Api-Key", SecretStr(key))])
    for at in range(len(key) - 7):
        assert redactor.redact(f"bad: {key[at : at + 8]}!") == "bad: **********!"


@pytest.mark.parametrize("prompt", ["pass1234", "internationalise"])
def test_a_word_that_may_be_a_secret_is_hidden(prompt: str) -> None:
    """One that has a digit, or is as long as an excerpt."""
    assert redact(f"bad: {prompt}!", prompt) == "bad: **********!"


def test_a_word_that_a_secret_contains_stays() -> None:
    """Whatever precedes it; with more of the secret it is hidden."""
    redactor = Redactor([("X-Api-Key", SecretStr("production-a1b2c3d4"))])
    assert redactor.redact("Error 7: none in production.") == "Error 7: none in production."
    assert redactor.redact("Error 7: production-a1b2.") == "Error 7: **********."


def test_neighbours_are_hidden_as_one() -> None:
    """No number of secrets is shown."""
    assert redact(f"bad: {KEY}{PIN}.", "Hello") == "bad: **********."


def test_each_cookie_that_is_sent_is_a_secret() -> None:
    """Without its name."""
    redactor = Redactor([("Cookie", SecretStr("session=0123456789abc==; theme=dark-blue-12"))])
    said = redactor.redact("bad: session=0123456789abc; theme=dark-blue-12.")
    assert said == "bad: session=**********; theme=**********."


@pytest.mark.parametrize(
    ("password", "part"), [("ab:cd-123456", "ab:cd-123456"), ("\xf6rd-12345678", "rd-12345678")]
)
def test_the_password_in_a_header_is_a_secret(password: str, part: str) -> None:
    """Of basic authorization, whatever it consists of."""
    encoded = base64.b64encode(f"the-user:{password}".encode("latin-1")).decode()
    redactor = Redactor([("Authorization", SecretStr(f"BASIC {encoded}"))])
    said = redactor.redact(f"{encoded} of the-user with {part}")
    assert said == "********** of the-user with **********"


def test_all_words_of_a_header_but_the_first_are_a_secret() -> None:
    """The first is the scheme."""
    redactor = Redactor([("X-Auth", SecretStr("Scheme-12 the-name-1 the-key-2"))])
    assert redactor.redact("Scheme-12, the-name-1!") == "Scheme-12, **********!"


def test_a_proxys_password_is_found_as_it_is_written_in_the_url() -> None:
    """Also if its escapes are not UTF-8."""
    redactor = Redactor(proxy=SecretStr("http://user:gar%E7on-gar%E7on@proxy.invalid"))
    assert redactor.redact("bad: gar%E7on-gar%E7on!") == "bad: **********!"


@pytest.mark.parametrize(("user", "password"), [("", "the-password-1"), ("the-user-12", "")])
def test_a_proxys_user_or_password_is_found_without_the_other(user: str, password: str) -> None:
    """As it is, and as the proxy gets it."""
    redactor = Redactor(proxy=SecretStr(f"http://{user}:{password}@proxy.invalid"))
    for secret in (user or password, base64.b64encode(f"{user}:{password}".encode()).decode()):
        assert redactor.redact(f"bad: {secret}!") == "bad: **********!"


def test_an_excerpt_of_a_long_prompt_is_found_anywhere_in_it() -> None:
    """In a text of few words, which repeats itself all the time."""
    numbers = random.Random(1)
    words = ("some", "text", "please", "number", "world", "of", "naïve")
    prompt = " ".join(numbers.choice(words) for _ in range(200_000))
    for _ in range(20):
        place = numbers.randrange(len(prompt) - 100)
        assert redact(f"bad: {prompt[place : place + 60]}", prompt).count("*") == 10


@pytest.mark.parametrize("spelled", ["\\u{10ffff}", "\\U0010ffff", "%F4%8F%BF%BF"])
def test_the_last_character_of_unicode_is_found_and_none_comes_after_it(spelled: str) -> None:
    """Escapes up to U+10FFFF are decoded; larger numbers are not escapes."""
    prompt = "one \U0010ffff two \U0010ffff three"
    said = f"bad: one {spelled} two {spelled} three"
    assert redact(said, prompt) == "bad: **********"
    beyond = "bad: \\u{110000} and \\Uffffffff"
    assert redact(beyond, prompt) == beyond


@pytest.mark.parametrize("words", ["ab%2D1%2Dcd2", "ab\\u002d1\\u002dcd2", "&#97;b1c%64%32"])
def test_what_is_taken_out_of_an_escaped_message_is_exact(words: str) -> None:
    """From its first character to its last."""
    redactor = Redactor([("X-Api-Key", SecretStr("ab-1-cd2"))])
    for before, after in (("", ""), ("", "!"), ("bad: ", ". \\u0021")):
        assert redactor.redact(f"{before}{words}{after}") == f"{before}**********{after}"


def test_half_a_character_hides_no_secret() -> None:
    """JSON can escape a surrogate that has no other half."""
    for half in ("\\ud83d", "\ud83d"):
        assert redact(f"bad {half}: {KEY}", "Hello") == f"bad {half}: **********"


def test_the_prompt_is_found_in_escaped_bytes_of_latin_1() -> None:
    """The prompt is redacted in escaped Latin-1 bytes too."""
    prompt = "Elle a dit «c'était l'été», hier"
    said = f"bad: {quote(prompt, encoding='latin-1')}"
    assert redact(said, prompt) == "bad: **********"


REPETITIVE: dict[str, Callable[[random.Random], str]] = {
    "one letter": lambda _: "a" * 1_000_000,
    "two digits": lambda numbers: "".join(numbers.choices("01", k=1_000_000)),
    "few words": lambda numbers: " ".join(
        numbers.choices(("salary", "is", "of", "漢字"), k=200_000)
    ),
}
HOSTILE: dict[str, Callable[[str], str]] = {
    "excerpts": lambda prompt: "|".join(prompt[at : at + 20] for at in range(0, 100_000, 500)),
    "near matches": lambda prompt: "|".join(prompt[at : at + 15] for at in range(0, 100_000, 400)),
    "backslashes": lambda _: "\\" * 4096,
    "percent signs": lambda _: "%" + "25" * 2047,
    "ampersands": lambda _: "&amp;" * 819,
}


@pytest.mark.parametrize("kind", REPETITIVE)
def test_no_message_makes_the_search_of_a_long_prompt_expensive(kind: str) -> None:
    """A server cannot keep a client busy with an error: each costs about as much as a harmless one."""
    prompt = REPETITIVE[kind](random.Random(1))

    def seconds(words: str) -> float:
        begin = time.thread_time()
        redact(words, prompt)
        return time.thread_time() - begin

    harmless = min(seconds("Model is overloaded") for _ in range(3))
    assert (
        max(min(seconds(make(prompt)) for _ in range(3)) for make in HOSTILE.values())
        < 12 * harmless
    )


@pytest.mark.parametrize("kind", REPETITIVE)
def test_excerpts_of_a_prompt_that_repeats_itself_are_found(kind: str) -> None:
    """Excerpts of a repetitive prompt are redacted, with few characters around them."""
    prompt = REPETITIVE[kind](random.Random(1))
    for at in range(1000, 1100, 7):
        excerpt = prompt[at : at + 40]
        said = redact(
            f"the request was refused by the gateway: {excerpt} (see its log for more)", prompt
        )
        assert said.startswith("the request was refused by the ")
        assert said.endswith("for more)")
        assert said.count("**********") == 1
        assert not any(excerpt[place : place + 8] in said for place in range(33))
