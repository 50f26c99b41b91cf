"""Digests of code and files: what a rule depends on that Snakemake does not see.

Snakemake compares the code of a rule and of its script, not the modules that they import. A rule
with `code_digest` of its rooms among its params reruns when, and only when, one of them changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


@cache
def code_digest(*rooms: str) -> str:
    """Digest the content of modules and folders of the package, ``"estimators"`` for example."""
    files: list[Path] = []
    for room in rooms:
        path = PACKAGE / room
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [f for f in found if f.suffix in (".py", ".html", ".css", ".txt", ".yaml")]
    return files_digest(files, relative_to=PACKAGE)


def files_digest(files: Iterable[Path], relative_to: Path | None = None) -> str:
    """Digest names and contents of files.

    Of a name only what is below ``relative_to`` counts, or its last part: a folder may be moved.
    """
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(relative_to) if relative_to else file.name
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def value_digest(value: Any) -> str:
    """Digest anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
