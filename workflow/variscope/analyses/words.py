"""What an analysis found, in sentences: written by its job, read by the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from variscope.stores.atomic import new_file


@dataclass(frozen=True, kw_only=True)
class Words:
    """The answer of an analysis.

    Attributes:
        answer: one or two sentences, with effect and interval; a line for each of several tables.
        more: further sentences.
        control: what the answer was held against, and what came of it; lines as of the answer.
        note: what holds of every study alike, said once in a section.
        headline: one sentence for the page's first screen, or a line for each of several tables,
            where the analysis answers the study's question as a whole.
    """

    answer: str
    more: Sequence[str] = ()
    control: str = ""
    note: str = ""
    headline: str = ""

    def write(self, path: Path | str) -> None:
        """Write it as JSON."""
        with new_file(path) as file:
            file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path | str) -> Words:
        """Read what `write` wrote."""
        return cls(**json.loads(Path(path).read_text()))
