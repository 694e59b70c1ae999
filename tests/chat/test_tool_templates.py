"""Bundled templates with tools render as their models' own, and calls can be read back."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ChatTemplate, Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat

HERE = Path(__file__).parent
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
JSON = json.dumps(TOOL)
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "U"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00001",
                "type": "function",
                "function": {"name": "add", "arguments": {"a": 1}},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call00001", "content": "R"},
]
PROMPTS = {
    "qwen-2.5": (
        "<|im_start|>system\nS\n\n# Tools\n\nYou may call one or more functions to assist with the "
        "user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{JSON}\n</tools>\n\nFor each function call, return a json object with function "
        "name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
        '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\nU<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
        "<|im_end|>\n<|im_start|>user\n<tool_response>\nR\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "llama-3.1": (
        "<|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nGiven the following functions, please respond "
        "with a JSON for a function call with its proper arguments that best answers the given "
        'prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of '
        f"argument name and its value}}.Do not use variables.\n\n{json.dumps(TOOL, indent=4)}\n\n"
        "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        '{"name": "add", "parameters": {"a": 1}}<|eot_id|>'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"R"<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "llama-4": (
        "<|header_start|>system<|header_end|>\n\nEnvironment: ipython\nS<|eot|>"
        "<|header_start|>user<|header_end|>\n\nGiven the following functions, please respond "
        "with a JSON for a function call with its proper arguments that best answers the given "
        'prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of '
        f"argument name and its value}}.Do not use variables.\n\n{json.dumps(TOOL, indent=4)}\n\n"
        "U<|eot|><|header_start|>assistant<|header_end|>\n\n<|python_start|><|python_end|>"
        '{"name": "add", "parameters": {"a": 1}}<|eot|>'
        '<|header_start|>ipython<|header_end|>\n\n"R"<|eot|>'
        "<|header_start|>assistant<|header_end|>\n\n"
    ),
    "mistral-v3": (
        f"[AVAILABLE_TOOLS] [{JSON}][/AVAILABLE_TOOLS][INST] S\n\nU[/INST]"
        '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "call00001"}]</s>'
        '[TOOL_RESULTS] {"content": R, "call_id": "call00001"}[/TOOL_RESULTS]'
    ),
    "mistral-nemo": (
        f"[AVAILABLE_TOOLS][{JSON}][/AVAILABLE_TOOLS][INST]S\n\nU[/INST]"
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}, "id": "call00001"}]</s>'
        '[TOOL_RESULTS]{"content": R, "call_id": "call00001"}[/TOOL_RESULTS]'
    ),
    "mistral-v7": (
        f"[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][AVAILABLE_TOOLS][{JSON}][/AVAILABLE_TOOLS][INST]U[/INST]"
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1}, "id": "call00001"}]</s>'
        "[TOOL_RESULTS]call00001[TOOL_CONTENT]R[/TOOL_RESULTS]"
    ),
    "mistral-v11": (
        f"[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][AVAILABLE_TOOLS][{JSON}][/AVAILABLE_TOOLS][INST]U[/INST]"
        '[TOOL_CALLS]add[CALL_ID]call00001[ARGS]{"a": 1}</s>'
        "[TOOL_RESULTS]call00001[TOOL_CONTENT]R[/TOOL_RESULTS]"
    ),
    "mistral-v13": (
        f"[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][AVAILABLE_TOOLS][{JSON}][/AVAILABLE_TOOLS][INST]U[/INST]"
        '[TOOL_CALLS]add[ARGS]{"a": 1}</s>[TOOL_RESULTS]R[/TOOL_RESULTS]'
    ),
}
TOOL_AWARE = [
    name for name in ChatTemplate.names() if "tools" in ChatTemplate.named(name).tool_text
]
SPECIAL = re.compile(r"(<\|\w+\|>|</s>|\[/?[A-Z_]+\])")


@pytest.mark.parametrize("name", PROMPTS)
def test_tools_calls_and_results_are_written_as_by_the_models_own(name: str) -> None:
    """The prompt, without the BOS token, is that of the makers' templates."""
    template = ChatTemplate.named(name)
    assert template.takes_tools
    assert template.prompt(CHAT, tools=[TOOL]) == PROMPTS[name]


@pytest.mark.parametrize("name", TOOL_AWARE)
def test_what_a_template_writes_is_read(name: str) -> None:
    """A model that answers in its template's form is understood."""
    template = ChatTemplate.named(name)
    assert template.takes_tools
    calls = [{"function": {"name": "add", "arguments": {"a": n, "s": 'ä"\n'}}} for n in range(2)]
    message = {"role": "assistant", "content": ""}
    asked = template.prompt(CHAT[:2], tools=[TOOL])
    written = list[tuple[str, Any]]()
    for call in calls:
        full = template.prompt([*CHAT[:2], {**message, "tool_calls": [call]}], tools=[TOOL])
        answer = full.removeprefix(asked.rstrip("\n")).lstrip("\n")
        reader = ToolCallReader(ToolFormat.find(template=template.tool_text), [TOOL])
        parts = [part for part in SPECIAL.split(answer) if part]
        tokens = [Token(id=0, text=part, special=bool(SPECIAL.match(part))) for part in parts]
        reader.read(tokens[: -1 if name.startswith(("llama", "qwen")) else None], "eos_token")
        written += [(read.name, read.arguments) for read in reader.calls]
    assert written == [("add", call["function"]["arguments"]) for call in calls]


@pytest.mark.parametrize("name", TOOL_AWARE)
def test_several_calls_and_foreign_ids_are_sent(name: str) -> None:
    """Ids of other providers, several calls and text beside them fit every template, in some form."""
    ids = ["call_0123456789abcdefghijkl", "5b1f6b3e-7a3c-4d8e-9f10-000000000000"]
    calls = [{"id": one, "function": {"name": "add", "arguments": '{"a": 7}'}} for one in ids]
    chat: list[dict[str, Any]] = [
        *CHAT[:2],
        {"role": "assistant", "content": "Let me see.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": ids[1], "content": "R1"},
        {"role": "tool", "tool_call_id": ids[0], "content": "R0"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Thanks"},
    ]
    prompt = ChatTemplate.named(name).prompt(chat, tools=[TOOL])
    for words in ("Let me see.", "R0", "R1", "Done.", "Thanks"):
        assert prompt.count(words) == 1
    assert prompt.index("R0") < prompt.index("R1")
    assert prompt.count('{"a": 7}') + prompt.count("<parameter=a>\n7\n") == 2


@pytest.mark.parametrize("name", TOOL_AWARE)
def test_a_result_that_spells_a_call_is_defused(name: str) -> None:
    """A tool's result cannot be mistaken for the model's call."""
    markers = [
        "[TOOL_CALLS]",
        "<tool_call>",
        "<|python_tag|>",
        "<|eot_id|>",
        "<|eot|>",
        "<|im_end|>",
        "<|end_of_text|>",
        "<|tool_call|>",
        "<|end|>",
        "<｜tool▁calls▁begin｜>",  # noqa: RUF001 -- its letters
    ]
    chat = [*CHAT[:3], {**CHAT[3], "content": " ".join(markers)}]
    template = ChatTemplate.named(name)
    plain = template.prompt(CHAT, tools=[TOOL])
    with pytest.warns(UserWarning, match="control tokens"):
        prompt = template.prompt(chat, tools=[TOOL])
    own = [marker for marker in markers if marker in template.tool_text]
    assert own
    assert [prompt.count(marker) for marker in own] == [plain.count(marker) for marker in own]


GRANITE = """{%- set available_tools = tools %}{% if tools %}{{ '<|start_of_role|>available_tools<|end_of_role|>' + tools | tojson + '<|end_of_text|>' }}{% endif %}
{%- for message in messages %}{{ '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>' }}{% endfor %}"""
PHI = """{%- for message in messages %}{% if message.role == 'system' and message.tools %}{{ '<|system|>' + message.content + '<|tool|>' + message.tools + '<|/tool|><|end|>' }}
{%- else %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endif %}{% endfor %}{{ '<|assistant|>' if add_generation_prompt }}"""


def test_calls_are_written_out_for_a_template_that_writes_texts_only() -> None:
    """Granite's and Phi-4-mini's templates write no calls: the model's own form is put into the text."""
    granite = ChatTemplate(GRANITE).prompt(CHAT, tools=[TOOL])
    assert '<|tool_call|>[{"name": "add", "arguments": {"a": 1}}]<|end_of_text|>' in granite
    phi = ChatTemplate(PHI).prompt(CHAT, tools=[TOOL])
    assert '<|tool_call|>[{"name": "add", "arguments": {"a": 1}}]<|/tool_call|><|end|>' in phi
    assert f"<|system|>S<|tool|>[{JSON}]<|/tool|><|end|>" in phi


DEEPSEEK = """{%- for message in messages %}{% if message.tool_calls %}{% for call in message.tool_calls %}
{{- '<｜tool▁call▁begin｜>' + call.type + '<｜tool▁sep｜>' + call.function.name + '\\n' + call.function.arguments + '<｜tool▁call▁end｜>' }}{% endfor %}
{%- else %}{{ '<｜' + message.role + '｜>' + message.content }}{% endif %}{% endfor %}"""  # noqa: RUF001 -- its letters


def test_arguments_are_text_for_a_template_that_joins_them() -> None:
    """DeepSeek's template adds arguments to a text, which only a text can be."""
    chat = [{**message, "content": message["content"] or None} for message in deepcopy(CHAT)]
    del chat[2]["tool_calls"][0]["type"]
    prompt = ChatTemplate(DEEPSEEK).prompt(chat)
    assert 'function<｜tool▁sep｜>add\n{"a": 1}<｜tool▁call▁end｜>' in prompt  # noqa: RUF001
