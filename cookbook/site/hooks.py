"""Take pages of the site from where they are in the repository, so that nothing is written twice."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
SOURCES = (
    "*.md",
    "LICENSE",
    "cookbook/*.md",
    "cookbook/*.ipynb",
    "cookbook/*.py",
    "cookbook/web/*.py",
    "tests/benchmarks/results.*",
)
"""What becomes a page, or is linked from one. Their paths stay, and so do the links between them."""


@event_priority(100)  # before the plugin for notebooks looks for them
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's files to the pages."""
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace a line `public: MODULE` by the reference of every public name of that module."""
    lines: list[str] = []
    for line in markdown.splitlines():
        if line.startswith("public: "):
            lines += _reference(line.removeprefix("public: "))
        else:
            lines.append(line)
    return "\n".join(lines)


def _reference(module: str) -> list[str]:
    public = importlib.import_module(module)
    return [f"\n::: {_defined(module, name)}" for name in sorted(public.__all__) if name[0] != "_"]


def _defined(module: str, name: str) -> str:
    """Return where a name is defined: the packages' own modules import lazily."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    return f"{module}.{name}"
