"""Directories and files that are complete or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a directory to fill beside ``path``, which becomes ``path`` when the block ends.

    What a killed writer left is taken away first; on an error nothing is left behind. An existing
    ``path`` is replaced only once the new one is whole.
    """
    target = Path(path)
    partial = _beside(target)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a file name beside ``path``, with its suffix, which becomes ``path`` at the end."""
    target = Path(path)
    partial = _beside(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.parent / f".partial.{target.name}"
