"""Rendering of chat templates, as transformers' `apply_chat_template` does it (5.24). Pure.

Imported on first use, because it is the only module that imports jinja2.
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
"""Marks the end of a text to continue; its space shows whether the template strips texts."""
_MOST_WORDS = 300  # characters of a template's own message in an error


class RefusalError(TemplateError):
    """The template refused the messages by `raise_exception`, or they cannot be continued."""


def rendered(
    template: str, messages: Any, tools: Any, variables: Mapping[str, Any], *, continued: bool
) -> str:
    """Render a template, which gets only plain data.

    Args:
        template: The Jinja text.
        messages: Dictionaries.
        tools: Dictionaries, or None.
        variables: Other variables of the template.
        continued: Whether to end the text at the end of the last message.

    Raises:
        ArgumentError: Names `messages` if the template refuses them, and `chat_template` if it is not
            valid Jinja, uses undefined variables, or violates the sandbox.
    """

    def filled(messages: Any, tools: Any) -> str:
        given = {"documents": None, **variables, "messages": messages, "tools": tools}
        return _filled(template, _plain(given), continued=continued)

    try:
        return filled(messages, tools)
    except Exception as error:  # noqa: BLE001 -- a template is a program and may raise anything
        refused = isinstance(error, RefusalError)
        words = f"{type(error).__name__} because of the content of a message"
    numbers = Placeholders()
    try:  # again without the conversation's texts, which no error may show
        filled(numbers.put(messages), numbers.put(tools))
    except Exception as error:  # noqa: BLE001 -- likewise
        words = shorten("…".join(numbers.around(str(error))), _MOST_WORDS, placeholder="…")
    if refused:
        raise ArgumentError("messages", f"refused by the chat template: {words}")
    raise ArgumentError("chat_template", f"cannot be rendered: {words}")


def _filled(template: str, variables: dict[str, Any], *, continued: bool) -> str:
    messages = variables["messages"] = [_prepared(message) for message in variables["messages"]]
    words = _opened(messages[-1]) if continued else ""
    compiled = _compiled(template)
    # Without `render()`, which adds the template's lines to the traceback of a refusal; nobody sees it.
    text = "".join(compiled.root_render_func(compiled.new_context(variables)))
    if not continued:
        return text
    end = text.rfind(_END.strip())
    if end < 0 or words.strip() not in text:
        raise RefusalError("it leaves out the message to continue")
    return text[:end] if text.startswith(_END, end) else text[:end].rstrip()


def _prepared(message: dict[str, Any]) -> dict[str, Any]:
    """Drop None values; add an assistant's reasoning under each name that templates use."""
    message = {name: value for name, value in message.items() if value is not None}
    reasoning = next((message[name] for name in _REASONING if name in message), None)
    if reasoning is None:
        return message
    return {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _opened(message: dict[str, Any]) -> str:
    """Append the end mark to a message's last text; return that text."""
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
    """`{% generation %}…{% endgeneration %}`, which marks an assistant's text for training."""

    tags = {"generation"}  # noqa: RUF012 -- jinja2's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_words"), [], [], body).set_lineno(line)

    def _words(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(Namespace):
    """Has no dunder attributes, by which an object could deceive the sandbox."""

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
    return datetime.now().strftime(form)  # noqa: DTZ005 -- the user's local date


def _raise_exception(message: object) -> NoReturn:
    raise RefusalError(str(message))


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:  # noqa: FBT001, FBT002 -- by place too
    return json.dumps(
        value, ensure_ascii=ensure_ascii, **options
    )  # unlike jinja2's, it does not escape HTML


def _plain(value: Any) -> Any:
    """Return a copy in JSON types; any other object becomes the name of its type."""
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
