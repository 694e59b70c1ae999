"""What is a call and what is text, what cannot be read, and how an answer ends."""

import json
from collections.abc import Sequence

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import FORMATS, ToolCallReader, ToolFormat

TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("add", "now")
]
TAGGED = ["qwen", "hermes", "granite-4", "granite", "qwen3-coder"]
CALL = '{"name": "add", "arguments": {"a": 1}}'


def _tokens(*parts: str | tuple[str]) -> list[Token]:
    """A token of each character, and special ones of what is in tuples."""
    return [
        Token(id=0, text=text, special=isinstance(part, tuple))
        for part in parts
        for text in (part if isinstance(part, tuple) else list(part))
    ]


def _read(
    name: str,
    *parts: str | tuple[str],
    reason: str = "eos_token",
    stop: Sequence[str] = (),
    in_words: bool = False,
) -> ToolCallReader:
    reader = ToolCallReader(ToolFormat.named(name), TOOLS, stop=stop, in_words=in_words)
    reader.read(_tokens(*parts), reason)
    return reader


TEXTS = [
    "Plain words.",
    "a < b, <tool_bar>, <tool_cal, [x], {y}, `{}`, ```c\nint main() { return 0; }\n```",
    "  spaces, then an end  \n",
    "[link](http://x), [add] and [now, then], functools, Action: none, <function>",
    '{"city": "Oulu", "nested": {"name": "add", "arguments": {}}}',
    '{"name": "Ann", "age": 3}',
    '[{"name": "Ann"}, {"name": "add", "arguments": {}}] and [1, 2]',
    "<think>\nI could call add.\n</think>\n\nNo.",
    "half a <｜tool▁call",  # noqa: RUF001 -- DeepSeek's own letters
    "{",
    "[",
    '{"na',
    "```json",
    "",
    "\n",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", FORMATS)
def test_text_that_looks_like_the_beginning_of_a_call_is_not_lost(name: str, text: str) -> None:
    """An answer without a call is shown to the last character."""
    read = _read(name, text)
    assert read.text == text
    assert (read.calls, read.invalid_calls) == ([], [])


@pytest.mark.parametrize("name", FORMATS)
def test_no_half_marker_is_shown(name: str) -> None:
    """While a stream may still become a marker, it is held back, and nothing shown is taken back."""
    for opener in ToolFormat.named(name).open:
        if opener in ToolFormat.named(name).special or opener == "Action:":
            continue
        reader = ToolCallReader(ToolFormat.named(name), TOOLS)
        for token in _tokens("Hi" + opener):
            reader.push(token)
            assert reader.text in ("H", "Hi")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mistral", f'[TOOL_CALLS] [{{"name": "add", "arguments": {{}}}}]'),  # noqa: F541 -- braces
        ("mistral", "[TOOL_CALLS]add[ARGS]{}"),
        ("granite", '<|tool_call|>[{"name": "add", "arguments": {}}]'),
        ("llama-4", "<|python_start|>brave.call(x=1)<|python_end|>"),
        ("llama-3", "<|python_tag|>print(1)"),
    ],
)
def test_letters_that_spell_a_special_marker_are_text(name: str, text: str) -> None:
    """A marker that the family's tokenizer has as a special token counts only as that."""
    read = _read(name, text)
    assert read.text == text
    assert read.calls == []


def test_an_object_in_llamas_form_is_a_call_only_if_its_name_was_offered() -> None:
    """JSON of another name is text, in front of a call too."""
    other = '{"name": "subtract", "parameters": {"a": 1}}'
    read = _read("llama-3", f'{other}\n{{"name": "add", "parameters": {{"a": 1}}}}')
    assert read.text == other
    assert [(call.name, call.arguments) for call in read.calls] == [("add", {"a": 1})]
    quoted = 'Write `{"name": "add", "parameters": {}}` to add.'
    assert _read("llama-3", quoted).text == quoted


def test_text_around_calls_is_kept() -> None:
    """Text before, between and after calls is kept."""
    call = f"<tool_call>\n{CALL}\n</tool_call>"
    read = _read("qwen", f"First.\n{call}\nThen.\n{call}\n Last.")
    assert read.text == "First.\nThen.\n Last."
    assert [call.index for call in read.calls] == [0, 1]
    assert len({call.id for call in read.calls}) == 2


@pytest.mark.parametrize("name", TAGGED)
def test_a_marked_call_of_an_unknown_name_is_a_call(name: str) -> None:
    """An agent answers it with an error that the model sees."""
    read = _read(name, '<tool_call>\n{"name": "fly", "arguments": {"to": "Mars"}}\n</tool_call>')
    assert [(call.name, call.arguments) for call in read.calls] == [("fly", {"to": "Mars"})]


@pytest.mark.parametrize("cut", range(len('<tool_call>\n{"name": "add", "ar'), 52))
@pytest.mark.parametrize(
    ("reason", "words"), [("length", "max_new_tokens"), ("stop_sequence", "stop string")]
)
def test_a_call_that_is_cut_is_invalid_and_says_why(cut: int, reason: str, words: str) -> None:
    """A call that was cut is never repaired, and says why it is invalid."""
    text = f"<tool_call>\n{CALL}"[:cut]
    read = _read("qwen", text, reason=reason)
    if text.endswith("}}"):
        assert [call.arguments for call in read.calls] == [{"a": 1}]
        return
    (invalid,) = read.invalid_calls
    assert (read.calls, read.text) == ([], "")
    assert (invalid.name, invalid.text) == ("add", text)
    assert words in invalid.reason


@pytest.mark.parametrize("cut", range(len('{"name": "'), len(CALL)))
def test_a_cut_call_without_a_marker_is_invalid_too(cut: int) -> None:
    """After the start of an offered tool's name, Llama's form is not text."""
    read = _read("llama-3", CALL[:cut], reason="length")
    assert (read.text, read.calls) == ("", [])
    assert [call.text for call in read.invalid_calls] == [CALL[:cut]]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("{a: 1}", "cannot be read"),
        ('{"a": 1,}', "cannot be read"),
        ('{"a": NaN}', "invalid"),
        ('{"a": 1e999}', "too large"),
        ('{"a": "\\ud83d"}', "surrogate"),
        ("[1]", "not a JSON object"),
        ("3", "not a JSON object"),
        ('"x"', "cannot be read"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", ": it is nested too deeply;"),
        ("null", "not a JSON object"),
    ],
)
@pytest.mark.usefixtures("without_collection")
def test_arguments_that_cannot_be_read_make_an_invalid_call(arguments: str, reason: str) -> None:
    """The call's text and the reason are there; text after it is still read."""
    call = f'<tool_call>\n{{"name": "add", "arguments": {arguments}}}\n</tool_call>'
    reader = ToolCallReader(ToolFormat.named("qwen"), TOOLS)
    reader.read([Token(id=1, text=f"{call} Done. <tool_call>{CALL}</tool_call>")], "eos_token")
    (invalid,) = reader.invalid_calls
    assert invalid.name == "add"
    assert call.startswith(invalid.text.strip())
    assert reason in invalid.reason
    assert reader.text.strip() == "Done."
    assert [call.index for call in reader.calls] == [1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("a=1, b=-2.5", {"a": 1, "b": -2.5}),
        ("x=None, y=True, z=false", {"x": None, "y": True, "z": False}),
        ("""a='it\\'s', b="\\"(,)=", c='\\d\\n'""", {"a": "it's", "b": '"(,)=', "c": "\\d\n"}),
        ("a=[1, (2, {'k': [None]})],", {"a": [1, [2, {"k": [None]}]]}),
        ("from='x', class_=1", {"from": "x", "class_": 1}),
        ("", {}),
    ],
)
def test_pythonic_arguments_are_literals(arguments: str, expected: object) -> None:
    """Python literals in calls become JSON values."""
    read = _read("llama-4", f"[add({arguments})]")
    assert [call.arguments for call in read.calls] == [expected]


@pytest.mark.parametrize(
    "arguments",
    ["1", "a=b", "a=open('x')", "**{'a': 1}", "a=1e999", "a=b'x'", "a={1: 2}", "a=f'{x}'", "a=1j"],
)
def test_what_is_no_literal_is_never_evaluated(arguments: str) -> None:
    """An argument that is not a literal makes its call invalid; the next one is read."""
    read = _read("llama-4", f"[add({arguments}), now()]")
    assert [call.name for call in read.invalid_calls] == ["add"]
    assert [call.name for call in read.calls] == ["now"]


def test_code_after_llamas_tag_is_text() -> None:
    """The built-in tools of Llama were not offered: their calls are shown."""
    read = _read("llama-3", ("<|python_tag|>",), 'brave_search.call(query="x")', ("<|eom_id|>",))
    assert read.text == 'brave_search.call(query="x")'


def test_the_models_own_id_is_kept_where_it_can_be_used() -> None:
    """Mistral's ids are nine letters and digits; others, and repeated ones, are replaced."""
    ids = ["aB3dE5gH7", "0", "aB3dE5gH7"]
    objects = [{"name": "now", "arguments": {}, "id": one} for one in ids]
    read = _read("mistral", ("[TOOL_CALLS]",), json.dumps(objects))
    found = [call.id for call in read.calls]
    assert found[0] == "aB3dE5gH7"
    assert len(set(found)) == 3
    assert all(len(one) == 9 and one.isalnum() for one in found)


def test_a_stop_string_ends_the_answer_inside_a_call() -> None:
    """Nothing of what comes after the stop string is read, and the call is invalid."""
    read = _read("qwen", f"Hi.<tool_call>{CALL}</tool_call>", stop=['"a"'], reason="eos_token")
    assert read.text == "Hi."
    assert read.invalid_calls[0].text == '<tool_call>{"name": "add", "arguments": {'
    assert "stop string" in read.invalid_calls[0].reason
    assert _read("qwen", "One. Two.", stop=[" Tw"]).text == "One."


def test_no_tools_no_calls() -> None:
    """Without tools, an answer is text."""
    reader = ToolCallReader(ToolFormat.named("qwen"), [])
    reader.read(_tokens(f"<tool_call>{CALL}</tool_call>", ("<|im_end|>",)), "eos_token")
    assert reader.text == f"<tool_call>{CALL}</tool_call>"


def test_command_r7bs_answers_are_shown_without_their_markers() -> None:
    """Ordinary text is between markers there, special tokens or not."""
    for start, end in (
        (("<|START_RESPONSE|>",), ("<|END_RESPONSE|>",)),
        ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ):
        assert _read("command-r7b", start, "Hello <b>", end).text == "Hello <b>"


THOUGHTS: dict[str, list[str | tuple[str]]] = {
    "qwen": [f"I could <tool_call>\n{CALL}\n</tool_call>, or not."],
    "hermes": [f"<tool_call>{CALL}</tool_call>"],
    "qwen3-coder": ["<function=add>\n</function>"],
    "llama-3": [f"{CALL}\n"],
    "llama-4": [("<|python_start|>",), "[add(a=1)]", ("<|python_end|>",)],
    "mistral": ["So: ", ("[TOOL_CALLS]",), "add", ("[ARGS]",), '{"a": 1}'],
    "granite": [("<|tool_call|>",), f"[{CALL}]"],
    "phi-4": [f"functools[{CALL}]"],
    "deepseek": ['<｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜>'],  # noqa: RUF001
    "command-r": [f"Action:\n```json\n[{CALL}]\n```"],
    "command-r7b": [f"<|START_ACTION|>[{CALL}]<|END_ACTION|>"],
    "words": [f'{{"tool_calls": [{CALL}]}}'],
}
"""Calls that a model only thinks of, in each family's form."""
REASONING: list[tuple[str | tuple[str], str | tuple[str]]] = [
    ("<think>", "</think>"),
    (("<think>",), ("</think>",)),
    (("[THINK]",), ("[/THINK]",)),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<scratch_pad>", "</scratch_pad>"),
]


def _shown(parts: Sequence[str | tuple[str]]) -> str:
    marks = [mark for pair in REASONING for mark in pair]
    return "".join("".join(part) for part in parts if isinstance(part, str) or part in marks)


@pytest.mark.parametrize(("begin", "end"), REASONING, ids=str)
@pytest.mark.parametrize("name", THOUGHTS)
def test_a_call_in_the_models_reasoning_is_text(
    name: str, begin: str | tuple[str], end: str | tuple[str]
) -> None:
    """A call inside the model's reasoning is text, and the reasoning's marks are shown."""
    thought = [begin, *THOUGHTS[name], end]
    for parts in ([*thought, " No."], ["Hm. ", *thought, " No."], thought[:-1]):
        read = _read(name, *parts)
        assert (read.calls, read.invalid_calls) == ([], [])
        assert read.text == _shown(parts)


@pytest.mark.parametrize("end", ["</think>", ("</think>",)], ids=str)
@pytest.mark.parametrize("name", THOUGHTS)
def test_reasoning_that_the_prompt_begins_ends_in_the_answer(
    name: str, end: str | tuple[str]
) -> None:
    """Calls are read after the reasoning that the prompt starts."""
    thought = [*THOUGHTS[name], end, "\n\n"]
    for cut in (len(thought), 1):
        reader = ToolCallReader(ToolFormat.named(name), TOOLS, reasoning=True)
        reader.read(_tokens(*thought[:cut]), "length")
        assert (reader.calls, reader.invalid_calls) == ([], [])
        assert reader.text == _shown(thought[:cut])
    reader = ToolCallReader(ToolFormat.named(name), TOOLS, reasoning=True)
    reader.read(_tokens(*thought, *THOUGHTS[name]), "eos_token")
    assert [(call.name, call.arguments.keys() <= {"a"}) for call in reader.calls] == [("add", True)]


def test_a_quoted_mark_of_reasoning_hides_no_call() -> None:
    """A quoted reasoning tag does not hide a call."""
    read = _read("qwen", f"I do not use `<think>`.\n<tool_call>{CALL}</tool_call>")
    assert (read.text, len(read.calls)) == ("I do not use `<think>`.", 1)


def test_an_answer_ends_at_a_special_token_that_is_a_stop_string() -> None:
    """What the model writes behind the end of its turn is neither text nor a call."""
    read = _read("llama-3", "No.", ("<|eom_id|>",), f"{CALL}", stop=["<|eom_id|>"])
    assert (read.text, read.calls) == ("No.", [])
