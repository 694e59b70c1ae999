"""Batches of any size: answers for the rows of a file or of an iterable.

Example:
    ```python
    from datacrunch_tgi.batch import run_file_sync

    summary = run_file_sync("prompts.jsonl", "answers.jsonl", concurrency=64)
    ```
"""

from datacrunch_tgi.batch._file_run import run_file, run_file_sync
from datacrunch_tgi.batch._options import BatchFields, BatchOptions
from datacrunch_tgi.batch._run import run, run_sync
from datacrunch_tgi.batch._summary import Summary

__all__ = [
    "BatchFields",
    "BatchOptions",
    "Summary",
    "run",
    "run_file",
    "run_file_sync",
    "run_sync",
]
