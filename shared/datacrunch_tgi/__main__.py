"""The command `datacrunch-tgi`, also as `python -m datacrunch_tgi`. Needs the extra `cli`."""

import io
import sys


def main() -> None:
    """Run the command that the process was started with, and end with its exit code."""
    try:
        from datacrunch_tgi._cli._app import app  # noqa: PLC0415 -- what is missing is to be told
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
            # A terminal that cannot show a character shows a question mark, and the rest.
            stream.reconfigure(errors="replace")
    app(prog_name="datacrunch-tgi")  # also for `python -m`, so that completion has one variable


if __name__ == "__main__":
    main()
