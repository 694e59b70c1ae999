"""The output of a parser: text, and calls as they grow. Pure."""

import json
import math
import re
from collections.abc import Container, Mapping
from typing import Any, cast

from datacrunch_tgi._tools._calls import (
    Delta,
    InvalidToolCall,
    ToolCall,
    ToolCallDelta,
    new_call_id,
)

_OWN_ID = re.compile("[A-Za-z0-9]{9}")
_ADVICE = "use a larger model, or force the call (tool_choice) on a server with grammars (TGI 1.4.1 or newer)"
_CUT = {
    "length": "the token limit ended the answer inside the call; raise max_new_tokens",
    "stop_sequence": "a stop string ended the answer inside the call; use other stop strings",
}


class Output:
    """Collects text and calls."""

    def __init__(
        self, spelled: Mapping[int, str], shown: Container[str] = (), most: float = math.inf
    ) -> None:
        self._most = most
        self._spelled = spelled  # markers, written out
        self._shown = {place: text if text in shown else None for place, text in spelled.items()}
        self._text: list[str] = []
        self._deltas: list[ToolCallDelta] = []
        self._count = 0
        self._ids = set[str]()
        self.last = ""
        """The last character shown."""
        self.calls = list[ToolCall]()
        self.invalid_calls = list[InvalidToolCall]()
        self.finish_reason: str | None = None

    def written(self, text: str) -> str:
        """Write out the markers in a text."""
        return text.translate(self._spelled)

    def show(self, text: str) -> None:
        """Add text to show; markers in it, which did not start a call, are left out, unless `shown`."""
        text = text.translate(self._shown)
        if text:
            self._text.append(text)
            self.last = text[-1]

    def taken(self) -> Delta:
        """Return what was added since the last time."""
        delta = Delta("".join(self._text), tuple(self._deltas))
        self._text.clear()
        self._deltas.clear()
        return delta

    def next_index(self) -> int:
        """Return the index of the next call."""
        self._count += 1
        return self._count - 1

    def grow(self, index: int, **added: Any) -> None:
        """Report an addition to a call."""
        if index < self._most:
            self._deltas.append(ToolCallDelta(index=index, **added))

    def keep(self, call: ToolCall | InvalidToolCall) -> None:
        """Take a call that has ended, unless there are enough."""
        if call.index >= self._most:
            return
        if isinstance(call, ToolCall):
            self.calls.append(call)
        else:
            self.invalid_calls.append(call)

    def own_id(self, given: str | None) -> str:
        """Return the model's id if it can be used, else a new one."""
        usable = given is not None and _OWN_ID.fullmatch(given) and given not in self._ids
        call_id = cast("str", given) if usable else new_call_id()
        self._ids.add(call_id)
        return call_id


class Call:
    """One call while it is being read. Nothing is reported before `start`, `finish` or `fail`."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._index: int | None = None
        self._arguments: list[str] = []
        self._reported = 0  # number of pieces of the arguments
        self._sent_id: str | None = None
        self._named = False
        self.name: str | None = None
        self.id: str | None = None
        self.complete = False
        """Whether its end has been read."""
        self.suspected = False
        """Whether the answer ended inside what may be the name of a tool."""

    @property
    def arguments(self) -> str:
        """JSON text of the arguments so far."""
        return "".join(self._arguments)

    def start(self, *, id_follows: bool = False) -> None:
        """Report the name and the arguments so far.

        Args:
            id_follows: Whether the model's id may still follow.
        """
        if not self._named:
            self._named = True
            if not id_follows:
                self._sent_id = self._output.own_id(self.id)
            self._output.grow(self._place, id=self._sent_id, name=self.name)
        self.add("")

    def add(self, text: str) -> None:
        """Add to the arguments' JSON text; reported after the name."""
        self._arguments.append(text)
        if self._named:
            added = "".join(self._arguments[self._reported :])
            self._reported = len(self._arguments)
            if added:
                self._output.grow(self._place, arguments=self._output.written(added))

    @property
    def _place(self) -> int:
        if self._index is None:
            self._index = self._output.next_index()
        return self._index

    def finish(self, text: str) -> None:
        """End a complete call.

        Args:
            text: The call as the model wrote it.
        """
        try:
            arguments = loads(self.arguments.strip() or "{}")
            if not isinstance(arguments, dict):
                raise ValueError("the arguments are not a JSON object")  # noqa: TRY004, TRY301 -- a parse error, not a wrong argument
        except ValueError as error:
            self.fail(text, f"the arguments cannot be read: {error}")
            return
        if not self.name:
            self.fail(text, "it does not name a tool")
            return
        self.start()
        if not self.arguments.strip():
            self.add("{}")
        call_id = self._finish_id()
        self._output.keep(
            ToolCall(
                index=self._place,
                id=call_id,
                name=self.name,
                arguments=cast("dict[str, Any]", arguments),
                text=self._output.written(text),
            )
        )

    def fail(self, text: str, reason: str) -> None:
        """End a call that cannot be read.

        Args:
            text: The call as the model wrote it.
            reason: What is wrong with it; "" if the answer ended inside it.
        """
        cut = "" if reason else _CUT.get(self._output.finish_reason or "", "")
        reason = cut or f"{reason or 'its JSON is incomplete or invalid'}; {_ADVICE}"
        self._output.keep(
            InvalidToolCall(
                index=self._place,
                id=self._finish_id(),
                name=self.name,
                arguments=self._output.written(self.arguments),
                text=self._output.written(text),
                reason=reason,
            )
        )

    def _finish_id(self) -> str:
        if self._sent_id is None:
            self._sent_id = self._output.own_id(self.id)
            if self._named:
                self._output.grow(self._place, id=self._sent_id)
        return self._sent_id


def loads(text: str) -> Any:
    """Parse JSON; line breaks inside strings, which models write, are accepted.

    Raises:
        ValueError: It is not JSON, has NaN, Infinity or a lone surrogate, or is nested too deeply.
    """
    try:
        value = json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has a lone surrogate") from None
    return value


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
