"""A conversation put through a Jinja text, as transformers' `apply_chat_template` does it (5.24). Pure.

Imported when the first template is used: it is the only module that knows jinja2.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from textwrap import shorten
from typing import Any, NoReturn, cast

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from datacrunch_tgi._chat._texts import Placeholders
from datacrunch_tgi._errors import ArgumentError

_REASONING = ("reasoning_content", "thinking", "reasoning")
_END = "8614097352 "
"""Ends a text that is to be continued; the space in it tells whether the template strips texts."""
_MOST_WORDS = 300  # characters of a template's own words in an error


class RefusalError(TemplateError):
    """The template refuses the messages by its own `raise_exception`, or they cannot be continued."""


def rendered(
    template: str, messages: Any, tools: Any, variables: Mapping[str, Any], *, continued: bool
) -> str:
    """Render a template, which sees nothing but plain data.

    Args:
        template: The Jinja text.
        messages: Dictionaries.
        tools: Dictionaries, or None.
        variables: What else the template is given.
        continued: Whether to end the text where the last message does.

    Raises:
        ArgumentError: Names `messages` where the template refuses them, and `chat_template` where it
            is no Jinja, asks for what is not there, or reaches out of the sandbox.
    """

    def filled(messages: Any, tools: Any) -> str:
        given = {"documents": None, **variables, "messages": messages, "tools": tools}
        return _filled(template, _plain(given), continued=continued)

    try:
        return filled(messages, tools)
    except Exception as error:  # noqa: BLE001 -- a template is a program, which fails as it likes
        refused = isinstance(error, RefusalError)
        words = f"{type(error).__name__} for what a text says"
    numbers = Placeholders()
    try:  # once more without the conversation's texts, which no error shows
        filled(numbers.put(messages), numbers.put(tools))
    except Exception as error:  # noqa: BLE001 -- likewise
        words = shorten("…".join(numbers.around(str(error))), _MOST_WORDS, placeholder="…")
    if refused:
        raise ArgumentError("messages", f"refused by the chat template: {words}")
    raise ArgumentError("chat_template", f"cannot be rendered: {words}")


def _filled(template: str, variables: dict[str, Any], *, continued: bool) -> str:
    messages = variables["messages"] = [_told(message) for message in variables["messages"]]
    words = _opened(messages[-1]) if continued else ""
    text = _compiled(template).render(variables)
    if not continued:
        return text
    end = text.rfind(_END.strip())
    if end < 0 or words.strip() not in text:
        raise RefusalError("it leaves out the message to continue")
    return text[:end] if text.startswith(_END, end) else text[:end].rstrip()


def _told(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None; tell an assistant's reasoning under each name that templates ask for."""
    message = {name: value for name, value in message.items() if value is not None}
    reasoning = next((message[name] for name in _REASONING if name in message), None)
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _opened(message: dict[str, Any]) -> str:
    """Put the end behind a message's last text; return that text."""
    content = message.get("content")
    blocks = [message] if isinstance(content, str) else content or ()
    name = "content" if isinstance(content, str) else "text"
    for block in reversed(blocks):
        if name in block:
            text: str = block[name]
            block[name] = text + _END
            return text
    raise RefusalError("the last message has no text to continue")


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks an assistant's words for training."""

    tags = {"generation"}  # noqa: RUF012 -- jinja2's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_words"), [], [], body).set_lineno(line)

    def _words(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(Namespace):
    """Holds no name of Python's own, by which an object could deceive the sandbox."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # a template may have a variable `self`
        Namespace.__init__(args[0])
        for name, value in dict(*args[1:], **kwargs).items():
            args[0][name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a namespace has no attribute {name!r}")
        super().__setitem__(name, value)


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 -- the date where the user is


def _raise_exception(message: object) -> NoReturn:
    raise RefusalError(str(message))


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:  # noqa: FBT001, FBT002 -- by place too
    return json.dumps(
        value, ensure_ascii=ensure_ascii, **options
    )  # unlike jinja2's it escapes no HTML


def _plain(value: Any) -> Any:
    """A copy in JSON's types; of anything else a template sees but the name of its type."""
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return {_plain(name): _plain(item) for name, item in named.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in cast("list[Any]", value)]
        return tuple(items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool):
        return value
    for kind, plain in ((str, str.__str__), (int, int.__int__), (float, float.__float__)):
        if isinstance(value, kind):
            return cast("Callable[[Any], Any]", plain)(value)
    return f"<{type(value).__name__}>"


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
)
_ENVIRONMENT.filters["tojson"] = _tojson
cast("dict[str, Any]", _ENVIRONMENT.globals).update(
    dict=_dict, namespace=_Namespace, raise_exception=_raise_exception, strftime_now=_now
)
_compiled = lru_cache(_ENVIRONMENT.from_string)
