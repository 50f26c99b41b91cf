"""Gates between the rounds of a growing study, and what is kept with a shard for them.

A gate is a file that says whether more blocks are wanted. Every shard that begins behind block 0
waits for the gate of its first block, also where nothing is asked of the intervals and it lets all
pass: so the inputs of a shard's job never change, whatever is asked. A shard that is stopped is
empty, and says that it was skipped.

What was evaluated must stay when a gate is made again, for a narrower target, and what was skipped
must not. Snakemake's word for the former is `ancient`. But a job behind an ancient input that is
about to be made again is not looked at for any other reason (`DAG.update_needrun` of Snakemake
9.27 masks it), so that a changed seed would go unseen. Hence a shard is called ancient where
nothing else could be a reason, and there alone (`is_fresh`): it holds a digest of its recipe.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from variscope.errors import UserError
from variscope.stores.atomic import new_file

_MADE = "made.json"


def sign(folder: Path, recipe: str, skipped: bool = False) -> None:
    """Say in a shard's folder what it was made by.

    Args:
        folder: of its arrays, about to be whole.
        recipe: digest of all that it follows from, besides the files that it is made of.
        skipped: it has no arrays, since they were not wanted.
    """
    (folder / _MADE).write_text(json.dumps({"recipe": recipe, "skipped": skipped}))


def was_skipped(folder: str | Path) -> bool:
    """Say whether a shard has no arrays, since they were not wanted."""
    return bool(_made(folder).get("skipped", False))


def is_fresh(folder: str | Path, recipe: str, made_of: Iterable[str | Path]) -> bool:
    """Say whether a shard has its arrays, by this recipe, and none of its files is newer.

    Args:
        folder: of its arrays.
        recipe: that it should be made by, as of `sign`.
        made_of: files; of a folder of another shard what that was made by.
    """
    made = _made(folder)
    if made.get("recipe") != recipe or made["skipped"]:
        return False
    since = (Path(folder) / _MADE).stat().st_mtime
    files = [path / _MADE if path.is_dir() else path for path in map(Path, made_of)]
    return all(path.is_file() and path.stat().st_mtime <= since for path in files)


def write_gate(path: str | Path, course: Mapping[str, Any]) -> None:
    """Write a gate, or how a study ended.

    Args:
        path: of the file.
        course: of the rounds so far, `variscope.indices.precision.Course.to_json`; empty where
            nothing is asked, which lets all pass.
    """
    with new_file(path) as file:
        file.write_text(json.dumps(course, indent=1))


def is_closed(gate: str | Path) -> bool:
    """Say whether a gate lets no more blocks pass."""
    return bool(json.loads(Path(gate).read_text()).get("finished", False))


def last_shards(rounds: Sequence[tuple[int, Sequence[str]]], course: Sequence[str]) -> list[str]:
    """Return the names of the shards that hold the blocks of a study's last round.

    Args:
        rounds: blocks and names of the shards of each round that is planned.
        course: file of how the study ended (`write_gate`), if something is asked.
    """
    if not course:
        return list(rounds[0][1])
    reached = json.loads(Path(course[0]).read_text())["rounds"][-1]["blocks"]
    return list(dict(rounds)[reached])


def of_shards(paths: Iterable[str], names: Iterable[str]) -> list[Path]:
    """Choose the paths that are of these shards: folders, or files of their names.

    Raises:
        UserError: one of them has no arrays.
    """
    wanted = set(names)
    chosen = [Path(path) for path in paths if Path(path).stem in wanted]
    for path in chosen:
        if path.is_dir() and was_skipped(path):
            raise UserError(f"{path}: was skipped; remove it, and the same command goes on")
    return chosen


def _made(folder: str | Path) -> dict[str, Any]:
    try:
        return dict(json.loads((Path(folder) / _MADE).read_text()))
    except (OSError, ValueError):
        return {}
