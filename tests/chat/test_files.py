"""A model's own chat template, from its files or from the user."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}
OWN = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
FOR_TOOLS = "{{ tools | map(attribute='function.name') | list }}: {{ messages[0].content }}"


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model's folder of files with these texts, or these objects as JSON."""

    def make(**files: Any) -> Path:
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def test_the_tiny_llama_brings_its_own(tiny_llama: Path) -> None:
    """The template and tokens of a model's folder are read, by folder or file."""
    template = ChatTemplate.from_file(tiny_llama)
    assert (template.bos_token, template.eos_token) == ("<s>", "</s>")
    assert template.prompt(HELLO) == "[INST] Hello [/INST]"
    assert template == ChatTemplate.from_file(tiny_llama / "tokenizer_config.json")
    assert template == ChatTemplate.of(tiny_llama) == ChatTemplate.of(str(tiny_llama))


@pytest.mark.parametrize(
    "bos", ["<s>", {"__type": "AddedToken", "content": "<s>", "lstrip": False}]
)
@pytest.mark.parametrize(
    "chat_template", [OWN, [{"name": "rag", "template": "-"}, {"name": "default", "template": OWN}]]
)
def test_a_tokenizer_config_is_read_in_each_of_its_forms(
    bos: object, chat_template: object, model: Callable[..., Path]
) -> None:
    """All forms of tokenizer_config.json are read."""
    config = {"bos_token": bos, "eos_token": "</s>", "pad_token": None, "add_bos_token": True}
    folder = model(tokenizer_config_json={**config, "chat_template": chat_template})
    assert ChatTemplate.from_file(folder).render(HELLO) == "<s>Hello</s>"


@pytest.mark.parametrize("form", ["chat_template_json", "chat_template_jinja"])
def test_a_file_of_its_own_counts_more_and_the_tokens_are_beside_it(
    form: str, model: Callable[..., Path]
) -> None:
    """chat_template.json or .jinja takes precedence; tokens come from the configuration."""
    own = OWN if form == "chat_template_jinja" else {"chat_template": OWN}
    config = {"bos_token": "<b>", "eos_token": "<e>", "chat_template": "not this one"}
    folder = model(tokenizer_config_json=config, **{form: own})
    assert ChatTemplate.from_file(folder).render(HELLO) == "<b>Hello<e>"
    file = folder / form.replace("template_", "template.")
    assert ChatTemplate.from_file(file) == ChatTemplate.from_file(folder)


def test_a_template_alone_knows_no_tokens(model: Callable[..., Path]) -> None:
    """Without a tokenizer_config.json, the special tokens are undefined."""
    folder = model(chat_template_jinja="{{ bos_token is defined }}{{ messages[0].content }}")
    assert ChatTemplate.of(folder / "chat_template.jinja").render(HELLO) == "FalseHello"


@pytest.mark.parametrize("legacy", [True, False])
def test_conversations_with_tools_have_their_own_template_where_there_is_one(
    legacy: bool,  # noqa: FBT001 -- pytest gives it by name
    tmp_path: Path,
    make_tokenizer: Callable[..., Any],
) -> None:
    """A template named `tool_use` is used for conversations with tools."""
    tokenizer = make_tokenizer(
        bos_token="<s>",
        eos_token="</s>",
        chat_template=[
            {"name": "default", "template": OWN},
            {"name": "tool_use", "template": FOR_TOOLS},
        ],
    )
    tokenizer.save_pretrained(tmp_path, save_jinja_files=not legacy)
    template = ChatTemplate.from_file(tmp_path)
    assert template.render(HELLO, tools=[TOOL]) == "['weather']: Hello"
    given: list[list[Any] | None] = [None, [], [TOOL]]
    for tools in given:
        assert template.render(HELLO, tools=tools) == tokenizer.apply_chat_template(
            HELLO, tools=tools, tokenize=False
        )


def test_the_models_other_special_tokens_are_variables_and_control_tokens(
    model: Callable[..., Path],
) -> None:
    """Other special tokens of the tokenizer are variables and control tokens."""
    template = ChatTemplate.from_file(
        model(
            tokenizer_config_json={
                "chat_template": "{{ unk_token }}{{ messages[0].content }}",
                "unk_token": {"content": "(?)"},
                "added_tokens_decoder": {
                    "7": {"content": "%%go%%", "special": True},
                    "8": {"content": "    ", "special": False},
                },
            }
        )
    )
    assert template.render(HELLO) == "(?)Hello"
    assert template.control_tokens == ("(?)", "%%go%%")


def test_a_jinja_text_is_a_template() -> None:
    """`ChatTemplate.of` accepts Jinja text, and returns a template unchanged."""
    template = ChatTemplate.of("{% for message in messages %}{{ message.content }}{% endfor %}")
    assert template.prompt(HELLO) == "Hello"
    assert ChatTemplate.of(template) is template


def test_a_models_name_is_a_template_too() -> None:
    """`ChatTemplate.of` accepts a model's name."""
    assert ChatTemplate.of("meta-llama/Llama-2-7b-chat-hf") == ChatTemplate.named("llama-2")


def test_a_folder_that_is_called_so_does_not_hide_a_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a bundled template takes precedence over a folder of that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gemma").mkdir()
    assert ChatTemplate.of("gemma") == ChatTemplate.named("gemma")
    with pytest.raises(ArgumentError, match="cannot be read"):
        ChatTemplate.of("./gemma/")


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({}, "cannot be read: [Errno 2] No such file or directory"),
        ({"tokenizer_config_json": {"bos_token": "<s>"}}, "has no chat template"),
        ({"chat_template_json": {}}, "has no chat template"),
        ({"chat_template_json": "{"}, "cannot be read: "),
        ({"chat_template_json": []}, "cannot be read: "),
        ({"chat_template_json": {"chat_template": 5}}, "cannot be read: chat_template"),
        (
            {"chat_template_json": {"chat_template": [{"name": "a"}]}},
            "cannot be read: chat_template",
        ),
        (
            {"chat_template_json": {"chat_template": [{"name": "a", "template": "b"}]}},
            "has no chat template",
        ),
        (
            {"chat_template_jinja": OWN, "tokenizer_config_json": {"bos_token": True}},
            "cannot be read: bos_token",
        ),
    ],
)
def test_a_folder_without_a_template_is_refused(
    files: dict[str, Any], rule: str, model: Callable[..., Path]
) -> None:
    """A folder without a chat template is refused, with the file that is missing or wrong."""
    with pytest.raises(ArgumentError) as caught:
        ChatTemplate.of(model(**files))
    assert caught.value.field == "chat_template"
    assert caught.value.rule.startswith(rule)
    assert "json" in caught.value.value


@pytest.mark.parametrize("given", [None, 5, b"{{ x }}", ["llama-2"]])
def test_what_is_no_template_at_all_is_refused(given: Any) -> None:
    """A value of another type is refused with a list of what is accepted."""
    with pytest.raises(
        ArgumentError, match=r"^chat_template=.*: must be a ChatTemplate, a name, a path"
    ):
        ChatTemplate.of(given)


@pytest.mark.parametrize("given", ["x" * 5000, "a\0b", ""])
def test_an_odd_name_is_no_such_template(given: str) -> None:
    """A text that is neither a name, a path nor Jinja is refused."""
    with pytest.raises(ArgumentError, match="no such chat template, model or file"):
        ChatTemplate.of(given)


def test_templates_are_values(tiny_llama: Path) -> None:
    """Templates can be compared, hashed and pickled, also after use."""
    template = ChatTemplate.from_file(tiny_llama)
    assert template.prompt(HELLO)
    assert template.stop == ()
    again = pickle.loads(pickle.dumps(template))
    assert again == template
    assert hash(again) == hash(template)
    assert again.prompt(HELLO) == template.prompt(HELLO)
    assert template != ChatTemplate(template.template, bos_token="<b>", eos_token="</s>")
    assert len(repr(template)) < 100


def test_jinja_is_imported_with_the_first_rendering() -> None:
    """Importing the package does not import Jinja."""
    program = """
import sys
from datacrunch_tgi import ChatTemplate
template = ChatTemplate.named("gemma")
assert "jinja2" not in sys.modules
template.prompt([{"role": "user", "content": "Hello"}])
assert "jinja2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603 -- ours
