"""Recipes that are scripts, run in this process: they import for seconds, and most of it is there already."""

import runpy
import warnings
from collections.abc import Callable
from pathlib import Path

import llama_index.core
import pytest
from llama_index.core.instrumentation import get_dispatcher
from pydantic.warnings import PydanticDeprecationWarning

COOKBOOK = Path(__file__).parents[2] / "cookbook"


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a script as its command does, with variables by name; return what it prints."""
    root = get_dispatcher()
    monkeypatch.setattr(root, "event_handlers", [*root.event_handlers])
    monkeypatch.setattr(llama_index.core, "global_tokenizer", None)
    monkeypatch.syspath_prepend(COOKBOOK)

    def run(name: str, **environment: str) -> str:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        with warnings.catch_warnings():
            # LlamaIndex looks at every attribute of an agent, pydantic's deprecated ones too.
            warnings.simplefilter("ignore", PydanticDeprecationWarning)
            runpy.run_path(str(COOKBOOK / name), run_name="__main__")
        printed, errors = capfd.readouterr()
        assert errors == ""
        return printed

    return run
