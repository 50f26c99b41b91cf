"""What a shard costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from variscope.designs import DesignPart


@dataclass
class Cost:
    """Counts what a shard costs."""

    part: DesignPart
    evaluations: int = 0
    start: float = field(default_factory=monotonic)

    def total(self, folder: Path) -> dict[str, Any]:
        """Count rows, evaluations and seconds, and the bytes in the folder."""
        return {
            "rows": self.part.blocks * self.part.rows,
            "evaluations": self.evaluations,
            "seconds": monotonic() - self.start,
            "bytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
        }
