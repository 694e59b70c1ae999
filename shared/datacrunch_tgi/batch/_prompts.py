"""Prompt templates with column names. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._columns import dump

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_BRACES = "write {{ and }} for braces"


class PromptTemplate:
    """A prompt template with column names in braces; doubled braces are braces.

    Args:
        text: Template, such as "Label this: {text}".

    Raises:
        ArgumentError: A brace is unmatched, or a pair of braces is empty.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.names = [found[1] for found in _PART.finditer(text) if found[1] is not None]
        if "" in self.names or any(found[0] in "{}" for found in _PART.finditer(text)):
            raise ArgumentError(
                "prompt", f"must have a column name in each pair of braces; {_BRACES}"
            )

    def fill(self, row: Mapping[str, Any]) -> str:
        """Return the prompt of a row.

        Raises:
            ArgumentError: The row has no such column, or no value in it.
        """

        def value(found: re.Match[str]) -> str:
            if (name := found[1]) is None:
                return found[0][0]
            if name not in row:
                raise ArgumentError("prompt", f"the row has no column {name!r}; {_BRACES}")
            if row[name] is None:
                raise ArgumentError("prompt", f"the column {name!r} has no value")
            return row[name] if isinstance(row[name], str) else dump(row[name])

        return _PART.sub(value, self.text)
