"""Finds calls in an answer, for each syntax. Pure."""

import re
from collections.abc import Mapping

from datacrunch_tgi._protocol._reasoning import ONLY_SPECIAL, REASONING
from datacrunch_tgi._tools import _literals, _markup, _objects
from datacrunch_tgi._tools._formats import DEEPSEEK, ToolFormat
from datacrunch_tgi._tools._objects import Context
from datacrunch_tgi._tools._output import Call
from datacrunch_tgi._tools._source import Steps, begins_at

_FENCE = "```"
_WORD = re.compile(r"\w*")
_NAME = re.compile(r"[\w.-]*")
_SEPARATOR = re.compile(r"[\s;]*")
_QUOTES = ('"', "'", "`")
_CALLS, _CALL, _SEP, _END_CALL, _END_CALLS = DEEPSEEK


class Parser:
    """Parses an answer into text and calls."""

    def __init__(
        self,
        context: Context,
        tool_format: ToolFormat,
        special: Mapping[str, str],
        *,
        in_words: bool,
    ) -> None:
        self._context, self._format = context, tool_format
        self._source, self._output = context.source, context.output
        self._openers = [special.get(text, text) for text in tool_format.open]
        self._special = special
        self._reasoning = dict[str, tuple[str, ...]]()
        for begin, end in REASONING.items():
            forms = (special[end],) if end in ONLY_SPECIAL else (end, special[end])
            self._reasoning[special[begin]] = forms
            if begin not in ONLY_SPECIAL:
                self._reasoning[begin] = forms
        self._bare = in_words or tool_format.syntax == "bare"
        self._gap = ""
        """White space that is shown only if text follows, not before a call."""

    def read(self, *, reasoning: bool) -> Steps[None]:
        """Read the whole answer.

        Args:
            reasoning: Whether it begins inside the model's reasoning.
        """
        openers = [*self._openers, *self._format.drop, *self._reasoning]
        if self._bare:
            openers += ["{", "[", _FENCE]
        if reasoning:
            yield from self._reason(*self._reasoning.values())
        while opener := (yield from self._text(openers)):
            if opener in self._format.drop:
                self._source.take(len(opener))
            elif opener in self._reasoning:
                quoted = self._output.last in _QUOTES and not self._gap
                self._show(self._source.take(len(opener)))
                if not quoted:
                    yield from self._reason(self._reasoning[opener])
            elif (yield from self._call(opener)):
                self._gap += yield from self._source.span(_SEPARATOR)
        self._end()

    def read_text(self) -> Steps[None]:
        """Read an answer that has no calls."""
        yield from self._text(self._format.drop)
        self._end()

    def _end(self) -> None:
        if not self._output.calls and not self._output.invalid_calls:
            self._output.show(self._gap)

    def _reason(self, *ends: tuple[str, ...]) -> Steps[None]:
        """Show reasoning up to its end, which is text too; a call in it is only quoted."""
        yield from self._text([one for forms in ends for one in forms])

    def _text(self, openers: list[str] | tuple[str, ...]) -> Steps[str]:
        """Show text up to an opener; return the opener, "" at the end."""
        source = self._source
        pattern = re.compile("|".join(map(re.escape, openers)) or "(?!)")
        while True:
            rest = source.rest
            match = pattern.search(rest)
            end = match.start() if match else len(rest)
            if not match and not source.ended:
                end = begins_at(rest, openers)
            shown = rest[:end].rstrip()
            self._show(source.take(len(shown)))
            if match or source.ended:
                self._gap += source.take(end - len(shown))
                return match[0] if match else ""
            yield from source.more()

    def _show(self, text: str) -> None:
        if text:
            self._output.show(self._gap + text)
            self._gap = ""

    def _call(self, opener: str) -> Steps[bool]:
        """Read what may be calls; show it as text if it is not."""
        source = self._source
        source.begin()
        gap, self._gap = self._gap, ""
        if opener in ("{", "["):
            quoted = self._output.last in _QUOTES and not gap
            found = False if quoted else (yield from self._unmarked())
        elif opener == _FENCE:
            found = yield from self._fenced()
        else:
            source.take(len(opener))
            if self._format.syntax == "mistral":
                found = yield from self._mistral()
            elif self._format.syntax == "deepseek":
                found = yield from self._deepseek(opener)
            else:
                found = yield from self._tagged(opener)
        if isinstance(found, Call):
            reason = "its JSON is invalid" if (yield from source.peek()) else ""
            yield from source.until(*filter(None, [self._format.close]))
            found.fail(source.raw, reason)
        elif not found:
            self._gap = gap
            yield from self._reject(opener)
            return False
        return True

    def _reject(self, opener: str) -> Steps[None]:
        source = self._source
        raw = source.raw or source.take(len(opener))
        self._show(raw)
        if self._bare and (depth := _objects.open_depth(raw)) > 0:
            yield from source.value(self._show, depth)

    def _unmarked(self, *, marked: bool = False) -> Steps[Call | bool]:
        """Read what starts with a brace or a bracket."""
        source = self._source
        if not (yield from source.literal("[")):
            if marked:
                return (yield from _objects.read_objects(self._context))
            return (yield from _objects.read_unmarked(self._context))
        yield from source.space()
        if (yield from source.peek()) == "{":
            return (yield from _objects.read_list(self._context, marked=marked))
        return (yield from _literals.read_calls(self._context, marked=marked))

    def _fenced(self) -> Steps[Call | bool]:
        source = self._source
        source.take(len(_FENCE))
        yield from source.span(_WORD)
        yield from source.space()
        if (yield from source.peek()) not in ("{", "["):
            return False
        found = yield from self._unmarked()
        if found is True:
            yield from self._close(_FENCE)
        return found

    def _tagged(self, opener: str) -> Steps[Call | bool]:
        source, marked = self._source, opener in self._special.values()
        if opener == _markup.FUNCTION:
            found = yield from _markup.read_function(self._context, marked=False)
        else:
            yield from source.space()
            fenced = yield from source.literal(_FENCE)
            if fenced:
                yield from source.span(_WORD)
                yield from source.space()
            if (yield from source.peek()) in ("{", "["):
                found = yield from self._unmarked(marked=True)
            elif (yield from source.literal(_markup.FUNCTION)):
                found = yield from _markup.read_function(self._context, marked=True)
            elif (marked and self._format.syntax != "bare") or not (yield from source.peek()):
                found = Call(self._output)
            else:
                return False
            if fenced and found is True:
                yield from self._close(_FENCE)
        if found is True:
            yield from self._close(self._format.close)
        return found

    def _close(self, end: str) -> Steps[None]:
        yield from self._source.space()
        raw = self._source.raw  # since the last call
        self._gap = raw[len(raw.rstrip()) :]
        if end and (yield from self._source.literal(end)):
            self._gap = ""

    def _mistral(self) -> Steps[Call | bool]:
        source, call = self._source, Call(self._output)
        yield from source.space()
        if (yield from source.peek()) in ("{", "["):
            return (yield from self._unmarked(marked=True))
        name = yield from source.span(_NAME)
        if (yield from source.literal(self._special["[CALL_ID]"])):
            call.id = yield from source.span(_WORD)
        yield from source.literal(self._special["[ARGS]"])
        yield from source.space()
        return (yield from self._named(call, name))

    def _deepseek(self, opener: str) -> Steps[Call | bool]:
        source = self._source
        found = opener == _CALL or (yield from self._another(first=True))
        if not found:
            return Call(self._output)
        while True:
            call = Call(self._output)
            name = yield from source.until(_SEP)
            yield from source.space()
            if name is not None and (yield from source.peek()) != "{":
                name = yield from source.until("\n")
                yield from source.space()
                if (yield from source.literal(_FENCE)):
                    yield from source.span(_WORD)
                    yield from source.space()
            named = yield from self._named(call, (name or "").strip())
            if named is not True:
                return named
            for end in (_FENCE, _END_CALL):
                yield from source.space()
                yield from source.literal(end)
            if not (yield from self._another()):
                return True

    def _another(self, *, first: bool = False) -> Steps[bool]:
        yield from self._source.space()
        if (yield from self._source.literal(_CALL)):
            return True
        if not first:
            yield from self._source.literal(_END_CALLS)
        return False

    def _named(self, call: Call, name: str) -> Steps[Call | bool]:
        """Read the arguments of a call whose name has been read."""
        source = self._source
        if not (yield from source.peek()) or not name:
            return call
        call.name = name
        call.start()
        if not (yield from source.value(call.add)):
            return call
        call.finish(source.raw)
        source.begin()
        return True
