"""The command `datacrunch-tgi`, or `python -m datacrunch_tgi`. Requires the extra `cli`."""

import io
import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:
        from datacrunch_tgi._cli._app import app  # noqa: PLC0415 -- to report a missing package
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in {"click", "rich"}:
            raise
        sys.exit(
            f"error: the command needs {package}, which is not installed: "
            'pip install "datacrunch-tgi[cli]"'
        )
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows a question mark instead.
            stream.reconfigure(errors="replace")
    app(prog_name="datacrunch-tgi")  # also for `python -m`, so that completion has one variable


if __name__ == "__main__":
    main()
