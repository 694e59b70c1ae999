"""What help() and editors show of the models."""

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
    plain = pydoc.plaintext  # type: ignore[attr-defined]  # typeshed lacks it
    shown = pydoc.render_doc(kind, renderer=plain).splitlines()
    signatures = [line for line in shown[:60] if f"{kind.__name__}(*, base_url: str" in line]
    assert len(signatures) == 1
    assert max(map(len, signatures)) <= 2000
    assert all(len(line) <= 200 for line in shown[:60] if line not in signatures)
    for name in get_type_hints(LISTED[kind]).keys() - OF_LANGCHAIN - ALIASES:
        assert any(line.startswith(f" |      {name} (") for line in shown), name


@EACH
def test_the_listed_arguments_are_the_fields(kind: Any) -> None:
    """Editors complete what is listed; what is no field would be refused."""
    assert {*get_type_hints(LISTED[kind])} - ALIASES == {*kind.model_fields}
