"""README.md matches the package."""

import re
from pathlib import Path

import pytest

from datacrunch_tgi import Settings, _errors
from datacrunch_tgi._protocol._parameters import PARAMETERS
from datacrunch_tgi._settings import SETTINGS
from datacrunch_tgi.testing import EmulatedEndpoint

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CLASSES = (
    "run_sync",
    "Client",
    "EmulatedEndpoint",
    "DataCrunchLLM",
    "ChatDataCrunch",
    "DataCrunch",
)
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def table(first_column: str) -> dict[str, list[str]]:
    """The rows of the table with that first column, by its names."""
    (rows,) = re.findall(
        rf"^\| {first_column} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE
    )
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
    return {name.strip("`"): rest for name, *rest in cells}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda code: code.splitlines()[-1])
def test_each_snippet_runs_as_it_stands(
    snippet: str, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python example of the README runs."""
    with EmulatedEndpoint(model=tiny_llama, api_key="sk-readme") as endpoint:
        monkeypatch.setenv("DATACRUNCH_BASE_URL", endpoint.url)
        monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-readme")
        monkeypatch.setenv("DATACRUNCH_MODEL", "llama-2-13b-chat")
        exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102 -- the README is the input


def test_the_snippets_show_each_class() -> None:
    """The README has an example for each class."""
    assert [next(n for n in CLASSES if n in code) for code in SNIPPETS] == [
        "ChatDataCrunch",
        "Client",
        "DataCrunchLLM",
        "DataCrunch",
        "Client",
        "ChatDataCrunch",
        "run_sync",
        "Client",
        "EmulatedEndpoint",
    ]


def test_the_table_of_parameters_has_each_of_them_in_order() -> None:
    """The table of parameters is complete and in order."""
    assert list(table("Parameter")) == list(PARAMETERS)


def test_the_tables_of_settings_and_limits_have_each_default() -> None:
    """The tables of settings and limits are complete, with the right defaults."""
    shown = {name: cells[0] for name, cells in (table("Setting") | table("Limit")).items()}
    settings = Settings(base_url="http://127.0.0.1")
    assert set(shown) == {*SETTINGS} - {"base_url", "api_key", "model"}
    for name, value in shown.items():
        default = getattr(settings, name)
        assert value == str(default) or default is None


def test_the_table_of_errors_has_each_that_is_raised() -> None:
    """The table of errors is complete and says which are retried."""
    rows = table("Error")
    errors = {
        name
        for name, value in vars(_errors).items()
        if isinstance(value, type) and issubclass(value, _errors.DataCrunchError)
    }
    assert set(rows) == errors - {"DataCrunchError", "TransportError", "APIError"}
    for name, (_, retried, _) in rows.items():
        assert (retried == "no") is not getattr(_errors, name).retryable
