"""Directories and files that are complete or absent, also where the disk is full."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from variscope.errors import UserError

# How the name of what is half written begins.
PARTIAL = ".partial."

# What a system says of a disk that takes no more, and what that means.
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "the file is larger than its file system or a limit of the process allows",
}


@contextmanager
def new_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a directory to fill beside ``path``, which becomes ``path`` when the block ends.

    What a killed writer left is taken away first; on an error nothing is left behind. An existing
    ``path`` is replaced only once the new one is whole.

    Raises:
        UserError: the disk is full; ``path`` is named.
    """
    target = Path(path)
    partial = _beside(target)
    shutil.rmtree(partial, ignore_errors=True)
    with naming_a_full_disk(target):
        try:
            partial.mkdir(parents=True)
            yield partial
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(partial, target)
        finally:
            if partial.exists():
                _let_zarr_end()
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a file name beside ``path``, with its suffix, which becomes ``path`` at the end.

    Raises:
        UserError: the disk is full; ``path`` is named.
    """
    target = Path(path)
    partial = _beside(target)
    with naming_a_full_disk(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def naming_a_full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the error of a disk that takes no more into a `UserError` that names ``path``.

    Other errors pass, also those that have such an error for their cause but say more.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (why := why_full(error)) is None:
            raise
        raise UserError(
            f"{path}: cannot be written, {why}; nothing of it is left: "
            "make room, then the same command goes on"
        ) from error


def why_full(error: BaseException) -> str | None:
    """Say in words what took no more, where an error or what it came from says so; else None."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, OSError) and found.errno in FULL:
            return FULL[found.errno]
        found = found.__cause__ or found.__context__
    return None


def _let_zarr_end() -> None:
    """Wait for the chunks that zarr writes still: a chunk that fails leaves its neighbours running.

    One that ended after the directory is taken away would make it again.
    """
    if "zarr" not in sys.modules:
        return
    from zarr.core.sync import sync

    async def others() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    sync(others())


def _beside(target: Path) -> Path:
    return target.parent / f"{PARTIAL}{target.name}"
