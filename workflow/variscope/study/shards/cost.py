"""What a shard costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from variscope.designs import Design


@dataclass
class Cost:
    """Counts what a shard costs."""

    design: Design
    replicates: Sequence[int]
    evaluations: int = 0
    start: float = field(default_factory=monotonic)

    def total(self, folder: Path) -> dict[str, Any]:
        blocks = sum(self.design.sizes[number] for number in self.replicates)
        return {
            "rows": blocks * self.design.rows,
            "evaluations": self.evaluations,
            "seconds": monotonic() - self.start,
            "bytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
        }
