"""Numbers as the servers write them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacrunch_tgi.testing._serde import round_to_f32
from datacrunch_tgi.testing._serialize import dump_f32


@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_reads_as_it_was(number: float) -> None:
    """What is written is JSON, a number with decimals, and the same in single precision."""
    written = dump_f32(number)

    read = json.loads(written)
    assert isinstance(read, float)
    assert round_to_f32(read) == number
    assert math.copysign(1, read) == math.copysign(1, number)


@given(number=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_no_digit_is_in_vain(number: float) -> None:
    """Numbers are written with the fewest digits that identify them."""
    digits = dump_f32(abs(number)).partition("e")[0].replace(".", "").strip("0")

    for fewer in range(1, len(digits)):
        assert round_to_f32(float(f"{abs(number):.{fewer - 1}e}")) != abs(number)


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0.0, "0.0"),
        (-0.5, "-0.5"),
        (-0.0008722315, "-0.0008722315"),
        (-0.00000381469, "-0.00000381469"),
        (-8.344647e-7, "-8.344647e-7"),
        (1e12, "1000000000000.0"),
        (1e13, "1e13"),
        (16777216.0, "16777216.0"),
        (math.nan, "null"),
        (-math.inf, "null"),
        (None, "null"),
    ],
)
def test_numbers_are_spelt_as_recorded(number: float | None, written: str) -> None:
    """Plain decimals as long as serde_json writes them, then an exponent; null for what is none."""
    assert dump_f32(None if number is None else round_to_f32(number)) == written
