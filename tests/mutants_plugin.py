"""What `make mutants` leaves out: every mutant runs the tests that reach it, so these are few and fast."""

import sys
from functools import _lru_cache_wrapper
from zlib import crc32

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "mutants",
    deadline=None,
    max_examples=15,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # the first failure is enough
)

SAMPLED = ("test_recordings.py", "test_kept_tokens.py", "test_rendering.py", "test_histories.py")
"""Hundreds of cases each, of which every tenth is run."""
LEFT_OUT = (
    # They see mutmut's own frame as the caller.
    "test_a_formats_tokens_are_broken_up_by_a_space_that_a_reader_looks_past",
    # Seconds.
    "test_jinja_is_imported_with_the_first_rendering",
    "test_whatever_the_schema_the_grammar_is_taken_cheap_and_makes_json",
)


def pytest_configure() -> None:
    """Forget what the code computed before it was mutated."""
    settings.load_profile("mutants")
    for name, module in list(sys.modules.items()):
        for found in vars(module).values() if name.startswith("datacrunch_tgi.") else ():
            if isinstance(found, _lru_cache_wrapper):
                found.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect by the test's name alone, so that a test is run with each mutant or with none."""
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    name = item.name.partition("[")[0]
    is_case = item.path.name in SAMPLED and item.name != name
    return name in LEFT_OUT or (is_case and crc32(item.name.encode()) % 10 != 0)
