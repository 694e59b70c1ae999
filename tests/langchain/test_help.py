"""What help() and editors show of the models."""

import inspect
import pydoc
from typing import Any, get_type_hints

import pytest

from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from langchain_datacrunch._arguments import (
    ChatDataCrunchArguments,
    DataCrunchLLMArguments,
    LangChainArguments,
)

LISTED = {DataCrunchLLM: DataCrunchLLMArguments, ChatDataCrunch: ChatDataCrunchArguments}
OF_LANGCHAIN = {
    *get_type_hints(LangChainArguments),
    "rate_limiter", "disable_streaming", "output_version", "profile",
}  # fmt: skip
ALIASES = {"max_tokens", "timeout"}
EACH = pytest.mark.parametrize("kind", LISTED)


@EACH
def test_help_has_a_line_for_each_argument_and_nothing_is_long_but_a_signature(kind: Any) -> None:
    """help() has one line for each argument, and only signatures are long."""
    plain = pydoc.plaintext  # type: ignore[attr-defined]  # typeshed lacks it
    shown = pydoc.render_doc(kind, renderer=plain).splitlines()
    signature = f"{kind.__name__}{inspect.signature(kind)}"
    assert signature.startswith(f"{kind.__name__}(*, base_url: str")
    assert len(signature) <= 2000
    long = [line for line in shown[:60] if len(line) > 200]  # Python 3.13 breaks a signature's line
    assert all(line.endswith(signature) for line in long)
    for name in get_type_hints(LISTED[kind]).keys() - OF_LANGCHAIN - ALIASES:
        assert any(line.startswith(f" |      {name} (") for line in shown), name


@EACH
def test_the_listed_arguments_are_the_fields(kind: Any) -> None:
    """Editors complete what is listed; what is no field would be refused."""
    assert {*get_type_hints(LISTED[kind])} - ALIASES == {*kind.model_fields}
