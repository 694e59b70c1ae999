"""Calls in every family's form are read the same, wherever the answer is cut into tokens."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat

Part = str | tuple[str]
"""Text, or in a tuple one special token."""
Calls = Sequence[tuple[str, dict[str, Any]]]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "note": {"type": "string"},
                    "deep": {"type": "object"},
                },
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "get.now-1", "parameters": {"type": "object", "properties": {}}},
    },
]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _objects(calls: Calls, arguments: str = "arguments", name: str = "name") -> list[str]:
    return [_json({name: called, arguments: given}) for called, given in calls]


def _llama(calls: Calls) -> list[Part]:
    return ["; ".join(_objects(calls, "parameters"))]


def _llama_tagged(calls: Calls) -> list[Part]:
    objects = [{"type": "function", "name": name, "parameters": given} for name, given in calls]
    return [("<|python_tag|>",), ";\n".join(map(_json, objects)), ("<|eom_id|>",)]


def _pythonic(calls: Calls) -> str:
    texts = [
        f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
        for name, given in calls
    ]
    return f"[{', '.join(texts)}]"


def _mistral_named(calls: Calls) -> list[Part]:
    parts = list[Part]()
    for place, (name, arguments) in enumerate(calls):
        call_id: list[Part] = [("[CALL_ID]",), f"aB3dE5gH{place}"]
        parts += [("[TOOL_CALLS]",), name, *call_id, ("[ARGS]",), _json(arguments)]
    return parts


def _mistral_short(calls: Calls) -> list[Part]:
    parts = list[Part]()
    for name, arguments in calls:
        parts += [("[TOOL_CALLS]",), name, ("[ARGS]",), _json(arguments)]
    return parts


def _mistral_list(calls: Calls) -> list[Part]:
    objects = [
        {"name": name, "arguments": given, "id": f"aB3dE5gH{place}"}
        for place, (name, given) in enumerate(calls)
    ]
    return [("[TOOL_CALLS]",), " " + _json(objects), ("</s>",)]


def _tagged(texts: Sequence[str]) -> list[Part]:
    return ["\n".join(f"<tool_call>\n{text}\n</tool_call>" for text in texts), ("<|im_end|>",)]


def _coder(calls: Calls) -> list[str]:
    def value(given: Any) -> str:
        return given if isinstance(given, str) else _json(given)

    return [
        f"<function={name}>\n"
        + "".join(
            f"<parameter={key}>\n{value(item)}\n</parameter>\n" for key, item in given.items()
        )
        + "</function>"
        for name, given in calls
    ]


def _deepseek(calls: Calls, template: str) -> list[Part]:
    begin, end = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"  # noqa: RUF001 -- its own letters
    texts = [
        f"<｜tool▁call▁begin｜>{template.format(name=name, given=_json(given))}<｜tool▁call▁end｜>"  # noqa: RUF001
        for name, given in calls
    ]
    return [begin + "\n".join(texts) + end]


FAMILIES: dict[str, tuple[str, Callable[[Calls], list[Part]]]] = {
    "llama-3": ("llama-3", _llama),
    "llama-3 with its tag": ("llama-3", _llama_tagged),
    "llama-3 lines": ("llama-3", lambda calls: ["\n".join(_objects(calls, "parameters"))]),
    "llama-3.2 pythonic": ("llama-3", lambda calls: [_pythonic(calls)]),
    "llama-4": ("llama-4", lambda calls: ["".join(_objects(calls, "parameters"))]),
    "llama-4 pythonic": (
        "llama-4",
        lambda calls: [("<|python_start|>",), _pythonic(calls), ("<|python_end|>",)],
    ),
    "mistral v3": ("mistral", _mistral_list),
    "mistral v3, no space, no ids": (
        "mistral",
        lambda calls: [("[TOOL_CALLS]",), f"[{', '.join(_objects(calls))}]"],
    ),
    "mistral v11": ("mistral", _mistral_named),
    "mistral v13": ("mistral", _mistral_short),
    "qwen": ("qwen", lambda calls: _tagged(_objects(calls))),
    "qwen3-coder": ("qwen3-coder", lambda calls: _tagged(_coder(calls))),
    "qwen3-coder without the outer tag": ("qwen3-coder", lambda calls: ["\n".join(_coder(calls))]),
    "hermes": (
        "hermes",
        lambda calls: _tagged([_json({"arguments": given, "name": name}) for name, given in calls]),
    ),
    "phi-4": (
        "phi-4",
        lambda calls: [f"<|tool_call|>[{', '.join(_objects(calls))}]<|/tool_call|>"],
    ),
    "phi-4 functools": ("phi-4", lambda calls: [f"functools[{', '.join(_objects(calls))}]"]),
    "granite 3": (
        "granite",
        lambda calls: [("<|tool_call|>",), f"[{', '.join(_objects(calls))}]"],
    ),
    "granite 3, plain": ("granite", lambda calls: [f"<tool_call>[{', '.join(_objects(calls))}]"]),
    "granite 4": (
        "granite-4",
        lambda calls: _tagged(_objects([(name, _json(given)) for name, given in calls])),  # type: ignore[misc]  # a JSON text
    ),
    "deepseek v3": (
        "deepseek",
        lambda calls: _deepseek(calls, "function<｜tool▁sep｜>{name}\n```json\n{given}\n```"),  # noqa: RUF001
    ),
    "deepseek v3.1": ("deepseek", lambda calls: _deepseek(calls, "{name}<｜tool▁sep｜>{given}")),  # noqa: RUF001
    "command-r": (
        "command-r",
        lambda calls: [
            f"Action:\n```json\n[{', '.join(_objects(calls, 'parameters', 'tool_name'))}]\n```"
        ],
    ),
    "command-r7b": (
        "command-r7b",
        lambda calls: [
            f"<|START_ACTION|>[{', '.join(_objects(calls, 'parameters', 'tool_name'))}]<|END_ACTION|>"
        ],
    ),
    "words": ("words", lambda calls: [f'{{"tool_calls": [{", ".join(_objects(calls))}]}}']),
    "words in a fence": (
        "words",
        lambda calls: [f'```json\n{{"tool_calls": [{", ".join(_objects(calls))}]}}\n```'],
    ),
    "words, a call alone": ("words", lambda calls: ["\n".join(_objects(calls))]),
}


@dataclass
class Read:
    """What was read, and what a stream showed of it."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    invalid: list[str]
    deltas: dict[int, str]
    names: list[str]


def _tokens(parts: Sequence[Part], places: Callable[[int], Sequence[int]]) -> list[Token]:
    tokens = list[Token]()
    for part in parts:
        if isinstance(part, tuple):
            tokens.append(Token(id=0, text=part[0], special=True))
            continue
        bounds = [0, *places(len(part)), len(part)]
        tokens += [Token(id=1, text=part[start:end]) for start, end in pairwise(bounds)]
    return tokens


def _read(name: str, tokens: Sequence[Token], reason: str = "eos_token") -> Read:
    reader = ToolCallReader(ToolFormat.named(name), TOOLS)
    deltas = [reader.push(token) for token in tokens]
    deltas.append(reader.finish(reason))
    assert "".join(delta.text for delta in deltas) == reader.text
    grown = [call for delta in deltas for call in delta.calls]
    ids = {call.index: call.id for call in grown if call.id}
    assert all(ids[call.index] == call.id for call in reader.calls)
    arguments = dict.fromkeys((call.index for call in grown), "")
    for call in grown:
        arguments[call.index] += call.arguments
    return Read(
        reader.text,
        [(call.name, call.arguments) for call in reader.calls],
        [call.text for call in reader.invalid_calls],
        arguments,
        [call.name for call in grown if call.name],
    )


def _every_character(length: int) -> Sequence[int]:
    return range(1, length)


SIMPLE: Calls = [("add", {"a": 1, "b": 2.5}), ("get.now-1", {})]
NASTY = "\"}]</tool_call>'\n\\ <|tool_call|> [TOOL_CALLS] </parameter ``` ä 👩‍👩‍👧 {"
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.integers(-(10**20), 10**20),
        "b": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "note": st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.just(NASTY),
        "deep": st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
            st.lists(st.booleans() | st.text("'\"\\{}[]() =,", max_size=5), max_size=3),
            max_size=2,
        ),
    },
)
CALLS = st.lists(
    st.tuples(st.just("add"), VALUES) | st.just(("get.now-1", dict[str, Any]())),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_calls_are_read_whole_and_character_by_character(family: str) -> None:
    """Calls are read the same from an answer and character by character."""
    name, write = FAMILIES[family]
    for places in (lambda _: (), _every_character):
        read = _read(name, _tokens(write(SIMPLE), places))
        assert read.calls == SIMPLE
        assert (read.text, read.invalid) == ("", [])
        assert [json.loads(text) for text in read.deltas.values()] == [given for _, given in SIMPLE]
        assert read.names == [called for called, _ in SIMPLE]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30)
@given(calls=CALLS, data=st.data())
def test_calls_are_the_same_wherever_tokens_end(
    family: str, calls: Calls, data: st.DataObject
) -> None:
    """Arguments of any kind arrive as they were written, and the stream's deltas add up to them."""
    name, write = FAMILIES[family]

    def places(length: int) -> list[int]:
        return sorted(data.draw(st.sets(st.integers(0, length))))

    parts: list[Part] = ["Let me see.\n\n", *write(calls)]
    read = _read(name, _tokens(parts, places))
    assert read.calls == list(calls)
    assert (read.text, read.invalid) == ("Let me see.", [])
    assert [json.loads(text) for text in read.deltas.values()] == [given for _, given in calls]
