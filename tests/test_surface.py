"""One list of parameters and one of settings: every place that repeats them agrees with it.

What type checkers make of them stands in `typing/`.
"""

import ast
import importlib
import re
from contextlib import suppress
from inspect import Parameter, getdoc, isclass, signature
from itertools import pairwise
from pathlib import Path
from pydoc import plain, render_doc
from typing import Any, get_type_hints

import jedi
import pytest

import datacrunch_tgi
import datacrunch_tgi.batch
import datacrunch_tgi.testing
import langchain_datacrunch
import llamaindex_datacrunch
from datacrunch_tgi import AsyncClient, AsyncStream, Client, Parameters, Settings, Stream
from datacrunch_tgi._cli._app import app
from datacrunch_tgi._cli._options import NOT_OPTIONS
from datacrunch_tgi._protocol._parameters import PARAMETERS
from datacrunch_tgi._settings import SettingsArguments
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from langchain_datacrunch import _arguments as langchain
from llamaindex_datacrunch import DataCrunch
from llamaindex_datacrunch import _arguments as llamaindex

PARAMETER_NAMES = {*PARAMETERS, "max_tokens"}
SETTING_NAMES = {*Settings.model_fields, "timeout"}
ADAPTERS: dict[Any, Any] = {
    DataCrunchLLM: langchain.DataCrunchLLMArguments,
    ChatDataCrunch: langchain.ChatDataCrunchArguments,
    DataCrunch: llamaindex.DataCrunchArguments,
}
CALLS = (
    pytest.param(langchain.CompletionCall, id="langchain completion"),
    pytest.param(langchain.ChatCall, id="langchain chat"),
    pytest.param(llamaindex.CompletionCall, id="llamaindex completion"),
    pytest.param(llamaindex.ChatCall, id="llamaindex chat"),
)
PUBLIC_CLASSES = {
    each.__name__: each
    for package in (datacrunch_tgi, datacrunch_tgi.batch, datacrunch_tgi.testing)
    for name in package.__all__
    if isclass(each := getattr(package, name))
} | {adapter.__name__: adapter for adapter in ADAPTERS}
DECLARED = {
    node.name: node
    for folder in (datacrunch_tgi, langchain_datacrunch, llamaindex_datacrunch)
    for path in Path(str(folder.__file__)).parent.rglob("*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
}
TYPING = "".join(
    path.read_text(encoding="utf-8") for path in Path(__file__).with_name("typing").glob("*.py")
)


def keywords(function: Any) -> set[str]:
    """The keyword-only arguments that `help()` and IPython show."""
    shown = signature(function).parameters.values()
    return {each.name for each in shown if each.kind is Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_client_takes_every_setting_and_its_calls_every_parameter(client: Any) -> None:
    """For type checkers, in `help()`, and where a copy is made."""
    assert {*get_type_hints(SettingsArguments)} == SETTING_NAMES
    assert {*get_type_hints(Parameters)} == PARAMETER_NAMES
    assert keywords(client) == keywords(client.with_settings) == SETTING_NAMES
    for call in (client.generate, client.stream):
        assert keywords(call) == PARAMETER_NAMES | {"extra_parameters", "on_retry"}


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    """Both clients have the same methods and arguments, except for closing."""
    names = [{*dir(client)} for client in (Client, AsyncClient)]
    public = [{name for name in each if not name.startswith("_")} for each in names]
    assert public[0] - {"close"} == public[1] - {"aclose"}
    for name in ("generate", "stream", "info", "health", "tokenize", "with_settings"):
        sync, loop = (
            str(signature(getattr(client, name))).partition(" ->")[0]
            for client in (Client, AsyncClient)
        )
        assert sync == loop


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_takes_every_setting_and_parameter(adapter: Any) -> None:
    """Fields, help() and argument types of a model have every setting and parameter."""
    listed = {*get_type_hints(ADAPTERS[adapter])}
    assert listed == {*adapter.model_fields, "max_tokens", "timeout"} == keywords(adapter)
    assert listed >= SETTING_NAMES | PARAMETER_NAMES | {"extra_parameters"}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_an_adapter_takes_every_parameter(call: Any) -> None:
    """A call accepts every parameter and no secret setting."""
    assert {*get_type_hints(call)} >= PARAMETER_NAMES | {"extra_parameters", "timeout"}
    assert not {*get_type_hints(call)} & {"api_key", "headers", "proxy", "client_certificate"}


@pytest.mark.parametrize("command", ["generate", "stream", "chat"])
def test_a_command_takes_every_setting_and_parameter(command: str) -> None:
    """Each command has an option for every setting and parameter."""
    options = {option for each in app.commands[command].params for option in each.opts}
    names = {name.removeprefix("--").replace("-", "_") for name in options}
    assert names >= PARAMETER_NAMES | SETTING_NAMES - {*NOT_OPTIONS, "headers"} | {"header"}


def test_every_argument_of_the_emulated_endpoint_is_documented() -> None:
    """help() lists every argument of `EmulatedEndpoint`."""
    shown = f"{getdoc(EmulatedEndpoint)}\n{getdoc(EmulatedEndpoint.__init__)}"
    for name in signature(EmulatedEndpoint).parameters:
        assert re.search(rf"(?m)^ +{name}\b.*:", shown), name


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_type_of_every_field_is_checked(adapter: Any) -> None:
    """Both type checkers check the type of every field."""
    of_llamaindex = {"messages_to_prompt", "completion_to_prompt"}  # its types have no public name
    for name in {*adapter.model_fields} - of_llamaindex:
        assert re.search(rf"assert_type\(\w+\.{name}, ", TYPING), name


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ('client.generate("x", max', {"max_new_tokens=", "max_tokens="}),
        ('client.stream("x", temp', {"temperature="}),
        ("Client(time", {"timeout="}),
        ("AsyncClient(first", {"first_token_timeout="}),
        ("DataCrunchLLM(max", {"max_new_tokens=", "max_tokens=", "max_retries="}),
        ("ChatDataCrunch(chat", {"chat_template="}),
        ("DataCrunch(time", {"timeout="}),
        ("EmulatedEndpoint(tok", {"tokens_per_second="}),
        ('llm.invoke("x", temp', {"temperature="}),
        ('llm.batch(["x"], max_t', {"max_tokens="}),
        ('chat.stream("x", time', {"timeout="}),
        ('chat.batch_as_completed(["x"], top_', {"top_k=", "top_p="}),
        ('chat.invoke("x", tool_c', {"tool_choice="}),
        ('index.complete("x", temp', {"temperature="}),
        ("index.astream_chat([], max_t", {"max_tokens="}),
    ],
)
def test_a_notebook_completes_arguments(typed: str, offered: set[str]) -> None:
    """What a tab offers there is what IPython asks jedi for."""
    names = {
        "client": Client(base_url="http://localhost"),
        "llm": DataCrunchLLM(base_url="http://localhost"),
        "chat": ChatDataCrunch(base_url="http://localhost"),
        "index": DataCrunch(base_url="http://localhost"),
        **{each.__name__: each for each in (Client, AsyncClient, EmulatedEndpoint, *ADAPTERS)},
    }
    completed = {each.name for each in jedi.Interpreter(typed, [names]).complete()}
    assert completed >= offered
    assert not {name for name in completed if name.startswith("_")}


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_help_of_a_class_starts_with_lines_that_fit_a_screen(name: str) -> None:
    """It starts with what the class is. Of the first 60 lines only signatures are long."""
    text = plain(render_doc(PUBLIC_CLASSES[name]))
    # Since Python 3.13, a long signature has a line for each argument.
    shown = re.sub(r"(?m)^ \|  \w+\(\n(?: \|      .*\n)+ \|  \).*\n", "", text).splitlines()
    assert str(getdoc(PUBLIC_CLASSES[name])).splitlines()[0] in " ".join(shown[:7])
    assert not [line for line in shown if len(line) > 2000]
    signatures = re.compile(r"class \w+\(| \|  (async )?\w+\(.*\)( -> .*)?$")
    assert not [line for line in shown[:60] if len(line) > 200 and not signatures.match(line)]


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_help_names_nothing_private(name: str) -> None:
    """Neither docstrings nor constructors mention what users cannot import, or how examples are tested."""
    public = PUBLIC_CLASSES[name]
    own = [
        getattr(base, each)
        for base in public.__mro__
        if "datacrunch" in base.__module__
        for each in vars(base)
        if not each.startswith("_")
    ]
    for each in (public, *own):
        assert not re.search(r"`_[a-z]|# doctest", getdoc(each) or ""), each
    with suppress(ValueError):  # dicts and warnings have no signature
        assert not [each for each in signature(public).parameters if each.startswith("_")]


@pytest.mark.parametrize("module", ["datacrunch_tgi", "datacrunch_tgi.testing"])
def test_an_editor_offers_only_public_names_to_import(module: str) -> None:
    """What follows `from datacrunch_tgi import` is what can be imported, and the packages below it."""
    typed = f"from {module} import "
    offered = {each.name for each in jedi.Script(typed).complete(1, len(typed))}
    packages = {"batch", "ray", "testing"} if module == "datacrunch_tgi" else set[str]()
    exported = {*importlib.import_module(module).__all__} - {"__version__"}
    assert {each for each in offered if not each.startswith("_")} == exported | packages


def test_only_public_names_are_completed() -> None:
    """Neither a client, a model, nor a package offers what the package uses itself."""
    assert {*dir(datacrunch_tgi)} >= {*datacrunch_tgi.__all__}
    for shown in (datacrunch_tgi, datacrunch_tgi.testing, Client, AsyncClient, *ADAPTERS):
        machinery = {"TYPE_CHECKING", "import_module", "of", "with_overrides", "check_kwargs"}
        assert not machinery & {*dir(shown)}


@pytest.mark.parametrize("name", [*datacrunch_tgi.__all__])
def test_a_traceback_names_a_class_as_it_is_imported(name: str) -> None:
    """So do `help()`, signatures and the repr of an object: none shows a private module."""
    public = getattr(datacrunch_tgi, name)
    assert (
        not isclass(public)
        or f"{public.__module__}.{public.__qualname__}" == f"datacrunch_tgi.{name}"
    )


@pytest.mark.parametrize(
    ("method", "start", "end"),
    [
        (Client.generate, "(self, inputs: str, parameters: Parameters = None, *, ", ") -> Answer"),
        (AsyncClient.stream, "(self, inputs: str, parameters: ", ") -> AsyncStream"),
        (DataCrunchLLM.invoke, "(self, input: LanguageModelInput, config: ", ") -> str"),
        (
            ChatDataCrunch.bind_tools,
            "(self, tools: Sequence[dict[str, Any] | type | ",
            "AIMessage]",
        ),
        (DataCrunch.achat, "(_self, messages: Sequence[ChatMessage], *, ", ") -> ChatResponse"),
    ],
)
def test_a_signature_shows_plain_types(method: Any, start: str, end: str) -> None:
    """`help()` and a notebook show types as people write them."""
    shown = str(signature(method))
    assert shown.startswith(start), shown
    assert shown.endswith(end), shown
    assert not re.search(r"<class|typing\.|_\w+\.", shown), shown


@pytest.mark.parametrize("stream", [Stream, AsyncStream])
def test_help_of_a_stream_shows_no_constructor(stream: Any) -> None:
    """Only a client makes streams: `help()` shows no arguments that nobody has."""
    assert not signature(stream).parameters
    assert "__init__" not in plain(render_doc(stream))


@pytest.mark.parametrize("name", [name for name in PUBLIC_CLASSES if name.endswith("Error")])
def test_an_error_has_attributes_and_no_methods(name: str) -> None:
    """Completion after `error.` offers what the error says, not how the package made it."""
    own = {*dir(PUBLIC_CLASSES[name])} - {*dir(Exception)}
    offered = [each for each in own if not each.startswith("_")]
    assert {"hint", "text", "requests", "url"} <= {*offered}
    assert not [each for each in offered if callable(getattr(PUBLIC_CLASSES[name], each))]


@pytest.mark.parametrize("name", PUBLIC_CLASSES)
def test_every_field_of_a_public_class_has_its_line(name: str) -> None:
    """Below the field, where editors look when it is hovered, or else in the class's docstring."""
    for base in PUBLIC_CLASSES[name].__mro__:
        if "datacrunch" not in base.__module__ or "[" in base.__name__:
            continue
        for field, below in pairwise([*DECLARED[base.__name__].body, ast.Pass()]):
            if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
                continue
            called = ast.unparse(field.target)
            if (
                not called.startswith("_")
                and called != "max_tokens"
                and not isinstance(below, ast.Expr)
            ):
                assert re.search(rf"(?m)^ +{called}( \(.+\))?: ", str(getdoc(base))), called


def test_help_of_the_parameters_has_a_line_for_each() -> None:
    """With its type, its unit or range, and its default."""
    for name in {*get_type_hints(Parameters)} - {"max_tokens"}:
        assert re.search(rf"(?m)^ +{name} \(.+\): .+efault: ", str(getdoc(Parameters))), name
