"""What a first reading of a source finds. Pure."""

from dataclasses import dataclass, field

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._columns import Columns, dump
from datacrunch_tgi.batch._files import SourceRow
from datacrunch_tgi.batch._keys import Fingerprint
from datacrunch_tgi.batch._prompts import PromptTemplate


@dataclass
class Survey:
    """What a first reading of a source finds.

    Attributes:
        rows: Number of rows.
        columns: Names of all columns, in order.
        fingerprint: Digest of all rows.
        details: Whether some row asks for details.
    """

    rows: int = 0
    columns: dict[str, None] = field(default_factory=dict[str, None])
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    details: bool = False

    def add(self, key: int, row: SourceRow, columns: Columns) -> None:
        """Count a row."""
        self.rows += 1
        self.details |= "details" in dump(columns.value(row.columns, "parameters"))
        self.columns.update(dict.fromkeys(row.columns))
        self.fingerprint.add(key, row)

    def check_prompt(self, prompt: PromptTemplate | None) -> None:
        """Refuse a prompt template with a column that no row has: every row would fail.

        Raises:
            ArgumentError: There is such a column.
        """
        for name in prompt.names if prompt and self.columns else ():
            if name not in self.columns:
                known = ", ".join(map(repr, self.columns))
                raise ArgumentError("prompt", f"no row has a column {name!r}; columns are {known}")
