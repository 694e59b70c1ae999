"""Tool calls and results in the forms that templates accept. Pure.

Messages have OpenAI's form: `tool_calls` with `function.name` and `function.arguments`, and results of
the role `tool` with `tool_call_id`.
"""

import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, cast

from pydantic_core import to_jsonable_python

from datacrunch_tgi._chat._images import Inserts
from datacrunch_tgi._chat._texts import Message, Placeholders
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._tools import ToolFormat

Chat = list[Message]
_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 9


def in_call_order(chat: Sequence[Message]) -> Chat:
    """Sort results by their calls, and make arguments JSON types; texts of JSON are parsed.

    Some templates match results by position, and most would render a text as a JSON string.
    """
    ordered = Chat()
    places = dict[str, int]()
    for given in chat:
        message = _with_calls(given, _object_arguments)
        for call in _calls(message):
            places.setdefault(str(call.get("id")), len(places))
        place = places.get(str(message.get("tool_call_id")))
        if message.get("role") == "tool" and place is not None:
            at = len(ordered)
            while at and _comes_after(ordered[at - 1], place, places):
                at -= 1
            ordered.insert(at, message)
        else:
            ordered.append(message)
    return ordered


def _comes_after(message: Message, place: int, places: dict[str, int]) -> bool:
    other = places.get(str(message.get("tool_call_id")))
    return message.get("role") == "tool" and other is not None and other > place


def place_for_tools(render: Callable[..., str]) -> str | None:
    """Return where a template takes tools: `variable`, or `system` for a system message with tools."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "text"}}}
    function = {"name": "name", "description": "text", "parameters": schema}
    tools, user = [{"type": "function", "function": function}], {"role": "user", "content": "user"}
    for place in ("variable", "system"):
        numbers = Placeholders()
        chat = numbers.put([user])
        numbered = numbers.put(tools, "function")
        with suppress(ArgumentError):
            if place == "variable":
                text = render(chat, tools=numbered)
            else:
                text = render(with_system_tools(chat, numbered))
            if not numbers.lost(text):
                return place
    return None


def with_system_tools(chat: Sequence[Message], tools: Sequence[Any]) -> Chat:
    """Put tools into the system message, as JSON text."""
    has_system = chat[0].get("role") == "system"
    first = chat[0] if has_system else {"role": "system", "content": ""}
    listed = json.dumps(tools, ensure_ascii=False)
    return [{**first, "tools": listed}, *(chat[1:] if has_system else chat)]


def variants(
    chat: Chat, own_calls: Callable[[Sequence[Any]], str] | None
) -> Iterator[tuple[str, Chat]]:
    """Yield a conversation unchanged, and with its tool messages in other forms.

    Args:
        chat: Messages with texts.
        own_calls: Formats tool calls as the model does, for templates that render only text.

    Yields:
        A description of the change, and the messages.
    """
    yield "", chat
    if not any(_calls(message) or message.get("role") == "tool" for message in chat):
        return
    plain = _complete(chat)
    yield "tool messages completed", plain
    short = _short_ids(plain)
    yield "tool call ids of nine letters", short
    for ids, form in (("", plain), (", ids of nine letters", short)):
        texts = [_with_calls(message, _text_arguments) for message in form]
        yield f"arguments of tool calls as text{ids}", texts
    apart = _apart(plain)
    yield "one tool call a message", apart
    yield "one tool call a message, ids of nine letters", _short_ids(apart)
    if own_calls:
        yield "tool calls written out", [_written(message, own_calls) for message in plain]


def in_words(chat: Chat) -> Chat:
    """Return the conversation with tool calls as assistant text and results as user text."""
    found = Chat()
    for message in _complete([_with_calls(one, _object_arguments) for one in chat]):
        role = message.get("role")
        if calls := _calls(message):
            objects = [
                {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
                for call in calls
            ]
            text = json.dumps({"tool_calls": objects}, ensure_ascii=False)
            content = "\n\n".join(filter(None, (message.get("content"), text)))
            found.append({"role": "assistant", "content": content})
        elif role == "tool":
            name = f" of {message['name']}" if message.get("name") else ""
            content = f"Result{name}: {message.get('content') or ''}"
            found.append({"role": "user", "content": content})
        elif role in ("system", "user", "assistant"):
            found.append(message)
        else:
            found.append({"role": "user", "content": message.get("content") or ""})
    return found


def _calls(message: Message) -> list[dict[str, Any]]:
    calls: Any = message.get("tool_calls") or []
    functions = [_get(call, "function") for call in calls]
    if not isinstance(calls, list | tuple) or not all(_get(one, "name") for one in functions):
        raise ArgumentError("messages", "tool calls must be dictionaries with function.name")
    return list(cast("Sequence[dict[str, Any]]", calls))


def _get(entry: Any, name: str) -> Any:
    return cast("Message", entry).get(name) if isinstance(entry, Mapping) else None


def _with_calls(message: Message, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Message:
    calls = _calls(message)
    return {**message, "tool_calls": list(map(change, calls))} if calls else message


def _complete(chat: Chat) -> Chat:
    """Fill in what some templates need: types, texts, arguments, names of results."""
    names = {call.get("id"): call["function"]["name"] for one in chat for call in _calls(one)}
    unanswered, found = list[str](), Chat()
    for message in chat:
        complete = _with_calls(message, _complete_call)
        if calls := _calls(message):
            unanswered = [call["function"]["name"] for call in calls]
        if message.get("role") == "tool":
            by_place = unanswered.pop(0) if unanswered else None
            name = names.get(message.get("tool_call_id") or 0, by_place)
            complete = {"name": name, **complete} if name else complete
        if complete.get("content") is None:
            complete = {**complete, "content": ""}
        found.append(complete)
    return found


def _object_arguments(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["function"]["name"], **call["function"]}
    if isinstance(function.get("arguments"), str):
        with suppress(ValueError):  # broken JSON is sent as the model wrote it
            function["arguments"] = json.loads(function["arguments"] or "{}")
    elif "arguments" in function:  # dates and the like, which templates cannot write
        arguments = function["arguments"]
        function["arguments"] = to_jsonable_python(arguments, bytes_mode="base64", fallback=str)
    return {**call, "function": function}


def _complete_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments", {})
    return {**call, "type": "function", "function": {**function, "arguments": arguments}}


def _text_arguments(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**call["function"], "arguments": arguments}}


def _short_ids(chat: Chat) -> Chat:
    """Set ids of nine letters and digits, the same for the same original id."""
    found, last, results = Chat(), list[str](), 0
    for place, message in enumerate(chat):
        if calls := _calls(message):
            last = [_short(str(call.get("id") or f"{place}.{n}")) for n, call in enumerate(calls)]
            results = 0
            pairs = zip(calls, last, strict=True)
            found.append({**message, "tool_calls": [{**call, "id": new} for call, new in pairs]})
        elif message.get("role") == "tool":
            given = message.get("tool_call_id")
            by_place = last[results] if results < len(last) else _short(str(place))
            new = _short(str(given)) if given else by_place
            found.append({**message, "tool_call_id": new})
            results += 1
        else:
            found.append(message)
    return found


def _short(call_id: str) -> str:
    if len(call_id) == _ID_LENGTH and call_id.isascii() and call_id.isalnum():
        return call_id
    number = int.from_bytes(sha256(call_id.encode("utf-8", "replace")).digest())
    letters = ""
    for _ in range(_ID_LENGTH):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return letters


def _apart(chat: Chat) -> Chat:
    """Put each call into its own message, followed by its result; text next to calls likewise."""
    results = {
        message["tool_call_id"]: message
        for message in chat
        if message.get("role") == "tool" and message.get("tool_call_id")
    }
    placed = set[int]()
    found = Chat()
    for message in chat:
        if id(message) in placed:
            continue
        calls = _calls(message)
        if not calls:
            found.append(message)
            continue
        if message.get("content"):
            found.append({"role": "assistant", "content": message["content"]})
        for call in calls:
            found.append({**message, "content": "", "tool_calls": [call]})
            result = results.get(call.get("id"))
            if result is not None and id(result) not in placed:
                placed.add(id(result))
                found.append(result)
    return found


def _written(message: Message, own_calls: Callable[[Sequence[Any]], str]) -> Message:
    calls = _calls(message)
    if not calls:
        return message
    return {"role": "assistant", "content": f"{message.get('content') or ''}{own_calls(calls)}"}


def own_calls(template: str, inserts: Inserts) -> Callable[[Sequence[Any]], str] | None:
    """Return a function that formats tool calls as the model does, for templates that render only text.

    Args:
        template: The Jinja text.
        inserts: Collects the markers, which no text may contain.
    """
    form = ToolFormat.for_template(template)
    if form is None or form.name not in ("granite", "phi-4"):
        return None

    def write(calls: Sequence[Any]) -> str:
        objects = [{key: call["function"][key] for key in ("name", "arguments")} for call in calls]
        end = inserts.add(form.close) if form.name == "phi-4" else ""
        return inserts.add(form.open[0]) + json.dumps(objects, ensure_ascii=False) + end

    return write
