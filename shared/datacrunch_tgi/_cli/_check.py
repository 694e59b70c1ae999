"""`check`: whether an endpoint answers, and if not, what is wrong and what to do."""

import time
from typing import Any

import click
from rich.text import Text

from datacrunch_tgi import Client
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._failures import exit_code
from datacrunch_tgi._cli._findings import (
    CHECKS,
    ROUTE,
    STREAM,
    TOKEN,
    Finding,
    facts,
    failed_check,
    findings,
)
from datacrunch_tgi._cli._options import SETTINGS, given, setting_options
from datacrunch_tgi._cli._terminal import ERR, OUT
from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._protocol._requests import GENERATE

PROMPT = "Hello"
STREAMED_TOKENS = 5


@command("check", setting_options())
def check(**options: Any) -> None:
    """Find out whether an endpoint answers, or why not.

    Checks key, base URL, route and model, with one token and one short stream. What failed is told
    with what to do about it, and by the exit code; what could not be checked then is marked so.
    """
    settings = given(options, SETTINGS)
    found: dict[str, str] = {}
    try:
        with Client(**settings) as client:
            found |= facts(client.settings, settings)
            with ERR.status(f"asking {client.base_url}"):
                found[ROUTE] = f"POST {GENERATE}"
                found[TOKEN] = _one_token(client)
                found[STREAM] = _one_stream(client)
    except DataCrunchError as error:
        failed = failed_check(error, streaming=TOKEN in found)
        if failed is None:
            raise
        _show(findings(found, error, failed))
        click.get_current_context().exit(exit_code(error))
    _show(findings(found))


def _one_token(client: Client) -> str:
    start = time.monotonic()
    answer = client.generate(PROMPT, max_new_tokens=1)
    return f"{answer.text!r} in {time.monotonic() - start:.2f} s"


def _one_stream(client: Client) -> str:
    start = time.monotonic()
    first, tokens = 0.0, 0
    with client.stream(PROMPT, max_new_tokens=STREAMED_TOKENS) as events:
        for _ in events:
            first = first or time.monotonic() - start
            tokens += 1
    return f"{tokens} tokens in {time.monotonic() - start:.2f} s, the first after {first:.2f} s"


def _show(lines: list[Finding]) -> None:
    width = max(map(len, CHECKS)) + 2
    for line in lines:
        mark = line.mark.sign if OUT.encoding.startswith("utf") else line.mark.plain
        words = f"{line.check:{width}}{line.words}"
        OUT.print(Text.assemble((mark, line.mark.style), " ", (words, line.mark.text_style)))
        if line.hint:
            OUT.print(f"  {'':{width}}{line.hint}")
