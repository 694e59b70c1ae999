"""The recipes run, on the tiny Llama and on the user's endpoint, and print what is stored."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

HERE = Path(__file__).parent
COOKBOOK = HERE.parents[1] / "cookbook"
NOTEBOOKS = {
    path.name: path.read_text(encoding="utf-8") for path in sorted(COOKBOOK.glob("*.ipynb"))
}
CHATS = {"12-chat", "13-structured"}
"""The recipes that use a chat template, found by the model's name."""
COMPLETIONS = {Path(name).stem for name in NOTEBOOKS} - CHATS
KEY = "sk-of-the-one-who-reads-recipes"
EMULATED = "No DATACRUNCH_API_KEY is set: a tiny Llama in this process answers."
LIVE = "Your endpoint answers, as DATACRUNCH_* in the environment say."
NO_WAY_OUT = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
"""Requests to other machines would go to a port where nothing listens."""


def execute(into: Path, *names: str, **environment: str) -> dict[str, str]:
    """Run the named recipes, or all; return the files that were written."""
    clean = {name: value for name, value in os.environ.items() if "DATACRUNCH" not in name}
    proxies = NO_WAY_OUT | {"HTTPS_PROXY": NO_WAY_OUT["HTTP_PROXY"]}
    subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, str(HERE / "execute.py"), "--into", str(into), *names],
        env=clean | proxies | environment,
        check=True,
        timeout=900,
    )
    return {path.name: path.read_text(encoding="utf-8") for path in into.iterdir()}


@pytest.mark.slow
def test_recipes_print_what_is_stored_without_key_or_network(tmp_path: Path) -> None:
    """File by file, byte for byte: running them again changes nothing."""
    executed = execute(tmp_path)
    assert set(executed) == set(NOTEBOOKS)
    for name, stored in NOTEBOOKS.items():
        assert executed[name] == stored, f"{name}: to store what it prints now, make notebooks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "recipes"), [("tiny-llama", COMPLETIONS), ("llama-2-13b-chat", CHATS)]
)
def test_recipes_run_on_the_endpoint_that_the_environment_names(
    model: str, recipes: set[str], tmp_path: Path, tiny_llama: Path
) -> None:
    """The notebooks run on the endpoint of the environment, and give the same answers."""
    with EmulatedEndpoint(model=tiny_llama, base_path="/v1/completions", api_key=KEY) as endpoint:
        executed = execute(
            tmp_path,
            *recipes,
            DATACRUNCH_BASE_URL=endpoint.url,
            DATACRUNCH_API_KEY=KEY,
            DATACRUNCH_MODEL=model,
        )
    assert {Path(name).stem for name in executed} == recipes
    for name, printed in executed.items():
        assert printed == NOTEBOOKS[name].replace(EMULATED, LIVE)
    assert sum(EMULATED in stored for stored in NOTEBOOKS.values()) == len(NOTEBOOKS) - 2, (
        "all but the two on errors and tests, which need an endpoint that fails on demand"
    )
    assert {request.status for request in endpoint.requests} == {200}
    assert {request.json["model"] for request in endpoint.requests} == {model}


def test_recipes_hold_outputs_and_nothing_of_the_machine_that_ran_them() -> None:
    """Notebooks have outputs without errors, paths, ports and keys."""
    of_a_machine = re.compile(r"/(home|root|tmp|usr|work|Users)/|[A-Z]:\\\\|:\d{5}\b|sk-|Bearer ")
    for name, stored in NOTEBOOKS.items():
        assert '"outputs": [\n' in stored
        assert '"output_type": "error"' not in stored
        assert '"name": "stderr"' not in stored
        assert not of_a_machine.search(stored), name


def test_the_readme_lists_every_recipe_and_nothing_that_is_not_there() -> None:
    """The cookbook's README links to every notebook, and every link exists."""
    links = re.findall(r"\]\(([^):]+)\)", (COOKBOOK / "README.md").read_text(encoding="utf-8"))
    assert set(NOTEBOOKS) <= set(links)
    assert all((COOKBOOK / link).exists() for link in links)
