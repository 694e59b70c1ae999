"""Run the cookbook's notebooks, each in a kernel of its own, and store what they print.

`python tests/cookbook/execute.py [--into FOLDER] [name ...]`
"""

import argparse
import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

COOKBOOK = Path(__file__).parents[2] / "cookbook"
AT_A_TIME = 2
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Of every notebook: nothing of the machine that ran it."""


async def execute(path: Path, into: Path, environment: dict[str, str]) -> None:
    """Run a notebook, and store it with what it printed.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed; nothing is stored.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat leaves it so
    with TemporaryDirectory() as folder:  # in place of the user's own settings and history
        kernel = AsyncKernelManager(
            # Without folders to look in, this Python's own kernel is the only one.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[], data_dir=folder),
            connection_file=str(Path(folder, "kernel.json")),
            transport="tcp" if os.name == "nt" else "ipc",
        )
        client = NotebookClient(
            notebook,
            km=kernel,
            timeout=60,
            record_timing=False,
            coalesce_streams=True,  # the same however the output was cut on its way
            resources={"metadata": {"path": str(COOKBOOK)}},
        )
        async with client.async_setup_kernel(
            env={**environment, "IPYTHONDIR": folder}, cleanup_kc=True
        ):
            await client.async_execute()
    notebook.metadata.clear()
    notebook.metadata.update(METADATA)
    nbformat.write(notebook, into / path.name)  # type: ignore[no-untyped-call]  # likewise


async def execute_all(names: list[str], into: Path) -> None:
    """Run the named notebooks, or all, a few at a time.

    Raises:
        ExceptionGroup: Some failed; the others' kernels have ended too.
    """
    gate = asyncio.Semaphore(AT_A_TIME)
    environment = dict(os.environ)
    if into == COOKBOOK:  # what the cookbook stores is the tiny Llama's
        environment = {n: value for n, value in environment.items() if "DATACRUNCH" not in n}

    async def run(path: Path) -> None:
        async with gate:
            await execute(path, into, environment)
            print(path.name)  # noqa: T201 -- it prints what it stored

    async with asyncio.TaskGroup() as tasks:
        for path in sorted(COOKBOOK.glob("*.ipynb")):
            if not names or path.stem in names:
                tasks.create_task(run(path))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks, without .ipynb; by default all")
    parser.add_argument("--into", type=Path, default=COOKBOOK, help="the folder to store them in")
    arguments = parser.parse_args()
    asyncio.run(execute_all(arguments.names, arguments.into))
