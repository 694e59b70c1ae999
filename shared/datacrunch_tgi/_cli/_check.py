"""`check`: whether an endpoint answers, and if not, what is wrong and what to do."""

import json
import time
from typing import Any

import click
from rich.text import Text

from datacrunch_tgi import Client
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._failures import exit_code
from datacrunch_tgi._cli._findings import (
    CHECKS,
    KEY,
    NO_KEY,
    ROUTE,
    STREAM,
    TOKEN,
    Finding,
    facts,
    failed_check,
    findings,
    report,
)
from datacrunch_tgi._cli._options import SETTINGS, given, setting_options
from datacrunch_tgi._cli._terminal import ERR, OUT, show_json
from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._protocol._requests import GENERATE

PROMPT = "Hello"
STREAMED_TOKENS = 5


@command("check", setting_options())
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one line of JSON, for monitors."
)
def check(*, as_json: bool, **options: Any) -> None:
    """Check that an endpoint answers, and report what is wrong.

    Checks the key, base URL, route and model with one generated token and one short stream. A failed
    check comes with advice and sets the exit code. Checks that could not be made are marked.
    """
    settings = given(options, SETTINGS)
    found: dict[str, str] = {}
    seconds: dict[str, float] = {}
    code = 0
    try:
        with Client(**settings) as client:
            found |= facts(client.settings, settings)
            with ERR.status(f"checking {client.base_url}"):
                found[ROUTE] = f"POST {GENERATE}"
                found[TOKEN] = _one_token(client, seconds)
                found[STREAM] = _one_stream(client, seconds)
    except DataCrunchError as error:
        failed = failed_check(error, streaming=TOKEN in found)
        if failed is None:
            raise
        code = exit_code(error)
        lines = findings(found, error, failed)
    else:
        if found[KEY] == NO_KEY:
            found[KEY] = f"{NO_KEY}; the server did not ask for one"
        lines = findings(found)
    if as_json:
        show_json(json.dumps(report(lines, code, seconds), ensure_ascii=False))
    else:
        _show(lines)
    click.get_current_context().exit(code)


def _one_token(client: Client, seconds: dict[str, float]) -> str:
    start = time.monotonic()
    answer = client.generate(PROMPT, max_new_tokens=1)
    seconds["one_token"] = time.monotonic() - start
    return f"{answer.text!r} in {seconds['one_token']:.2f} s"


def _one_stream(client: Client, seconds: dict[str, float]) -> str:
    start = time.monotonic()
    tokens = 0
    with client.stream(PROMPT, max_new_tokens=STREAMED_TOKENS) as events:
        for _ in events:
            seconds.setdefault("first_token", time.monotonic() - start)
            tokens += 1
    seconds["one_stream"] = time.monotonic() - start
    first = seconds.get("first_token", 0.0)
    return f"{tokens} tokens in {seconds['one_stream']:.2f} s, the first after {first:.2f} s"


def _show(lines: list[Finding]) -> None:
    width = max(map(len, CHECKS)) + 2
    for line in lines:
        mark = line.mark.sign if OUT.encoding.startswith("utf") else line.mark.plain
        words = f"{line.check:{width}}{line.words}"
        OUT.print(Text.assemble((mark, line.mark.style), " ", (words, line.mark.text_style)))
        if line.hint:
            OUT.print(f"  {'':{width}}{line.hint}")
