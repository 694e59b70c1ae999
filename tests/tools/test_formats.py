"""Which format of tool calls is used: by its name, by a chat template's markers, by a model's name."""

import pytest

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._tools import ToolFormat

NAMES = (
    "llama-4, llama-3, mistral, qwen3-coder, granite-4, granite, phi-4, deepseek, command-r7b, "
    "command-r, hermes, qwen, words"
)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama-4"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3"),
        ("meta-llama/Llama-3.1-8B", "words"),
        ("C:\\models\\Mistral-7B-Instruct-v0.3", "mistral"),
        ("/models/Qwen2.5-7B-Instruct/", "qwen"),
        ("Qwen\\QwQ-32B\\", "qwen"),
        ("Qwen/Qwen3-Coder-30B", "qwen3-coder"),
        ("ibm-granite/granite-4.0-tiny", "granite-4"),
        ("ibm-granite/granite-3.3-8b-instruct", "granite"),
        ("microsoft/Phi-4-mini-instruct", "phi-4"),
        ("deepseek-ai/DeepSeek-R1", "deepseek"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "words"),
        ("CohereForAI/c4ai-command-r7b-12-2024", "command-r7b"),
        ("CohereForAI/c4ai-command-r-plus", "command-r"),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes"),
        ("tgi", "words"),
        ("", "words"),
    ],
)
def test_a_models_name_determines_the_format(model: str, name: str) -> None:
    """Its last part, whether it is a repository or a folder; a model that calls no tools has words."""
    assert ToolFormat.find(model=model).name == name


@pytest.mark.parametrize(
    ("template", "name"),
    [("x<|python_tag|>y", "llama-3"), ("[TOOL_CALLS]", "mistral"), ("x", "qwen"), ("", "qwen")],
)
def test_a_templates_markers_take_precedence_over_the_models_name(template: str, name: str) -> None:
    """And a format that is set takes precedence over both."""
    assert ToolFormat.find(template=template, model="QwQ").name == name
    assert ToolFormat.find("words", template, "QwQ").name == "words"


@pytest.mark.parametrize(
    ("name", "advice"), [("lama-3", "did you mean 'llama-3'?"), ("zzz", f"use one of {NAMES}")]
)
def test_an_unknown_format_is_refused_with_the_nearest_or_all(name: str, advice: str) -> None:
    """Before any request."""
    with pytest.raises(ArgumentError) as caught:
        ToolFormat.find(name)
    assert str(caught.value) == f"tool_format={name!r}: no such format; {advice}"
