"""Docstrings for the reference, as help() shows them."""

import importlib
import inspect
from typing import Any

from griffe import Class, Extension


class RuntimeDocstrings(Extension):
    """Use the run-time docstrings of classes that list their arguments there (`_signatures`)."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Replace the docstring that was read from the source."""
        if cls.docstring and "\n    **" in cls.docstring.value:
            documented = getattr(importlib.import_module(cls.module.path), cls.name)
            cls.docstring.value = inspect.cleandoc(documented.__doc__)
