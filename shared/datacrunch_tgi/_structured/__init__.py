"""Structured output: JSON that matches a schema. Pure.

    schema ─▶ instructions ─▶ a paragraph for the prompt
           ─▶ grammar_of ───▶ the parameter `grammar`, which a server compiles in seconds at most
           ─▶ validator ────▶ a function that checks an answer against the full schema
    answer ─▶ read ─────────▶ the first JSON value in it that the function accepts

A server with grammars (TGI 1.4.1) allows nothing else. Older servers, such as DataCrunch's fork (1.1.1),
ignore the grammar silently, so every answer is searched and validated.
"""

from datacrunch_tgi._structured._checking import check_schema, instructions, validator, violation
from datacrunch_tgi._structured._grammar import grammar_of
from datacrunch_tgi._structured._reading import parse, partial_text, read

__all__ = [
    "check_schema",
    "grammar_of",
    "instructions",
    "parse",
    "partial_text",
    "read",
    "validator",
    "violation",
]
