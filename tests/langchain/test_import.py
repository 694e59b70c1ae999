"""Without langchain-core the import says what to install."""

import subprocess
import sys

BLOCKED = """
import sys
sys.modules["{name}"] = None
import langchain_datacrunch
"""


def _imported_without(name: str) -> str:
    command = [sys.executable, "-c", BLOCKED.format(name=name)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr  # noqa: S603 -- ours


def test_without_langchain_core_the_import_names_the_extra() -> None:
    """Without langchain-core, the import error names the extra."""
    error = _imported_without("langchain_core").splitlines()[-1]
    assert error.startswith("ImportError: langchain_datacrunch needs langchain-core")
    assert 'pip install "datacrunch-tgi[langchain]"' in error


def test_another_missing_module_is_named_itself() -> None:
    """An import error of another module is not blamed on langchain-core."""
    assert "langchain-core" not in _imported_without("httpx").splitlines()[-1]
