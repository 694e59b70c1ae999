"""The command `datacrunch-tgi` as a whole."""

import click

from datacrunch_tgi._cli._check import check
from datacrunch_tgi._cli._command import Group
from datacrunch_tgi._cli._failures import EXIT_CODES
from datacrunch_tgi._cli._generate import generate, stream
from datacrunch_tgi._cli._serve import serve
from datacrunch_tgi._version import __version__


@click.group(
    cls=Group,
    epilog=EXIT_CODES,
    commands=[check, generate, stream, serve],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="datacrunch-tgi")
def app() -> None:
    """Ask language models behind a DataCrunch (now Verda) endpoint, or any TGI server.

    Where to send is told by the variables DATACRUNCH_BASE_URL, DATACRUNCH_API_KEY and
    DATACRUNCH_MODEL, or by options; `check` tells whether all is right.
    """
