"""Which analyses of the registry are on, and their settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from variscope.analyses.registry import Analysis, built_in, from_file
from variscope.errors import UserError
from variscope.study.schema import completed_by


@dataclass(frozen=True)
class Chosen:
    """An analysis that is on.

    Attributes:
        analysis: its entry.
        settings: completed.
        file: of the user's, as the configuration has it; "" for a built-in one.
    """

    analysis: Analysis
    settings: Mapping[str, Any]
    file: str = ""


def complete_analyses(given: Any, folder: Path) -> dict[str, Any]:
    """Return the setting `analyses` with every entry: its settings, or false.

    Args:
        given: left out or true: those that read indices alone; ``"all"``; false: none; or a
            mapping from names to settings, true or false, which changes the first.
        folder: what paths of users' files start at.

    Raises:
        UserError: an unknown name, wrong settings, or a file that is no analysis.
    """
    entries = built_in()
    every = given == "all"
    named = given if isinstance(given, Mapping) else {}
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        value = named.get(name, given is not False and (every or entry.default))
        found[name] = _settings(entry, value, folder)
    for name, value in named.items():
        if name in entries:
            continue
        if not isinstance(value, Mapping) or not isinstance(value.get("file"), str):
            near = difflib.get_close_matches(str(name), list(entries), n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise UserError(
                f"analyses.{name}: unknown analysis{meant}; allowed: {', '.join(entries)}, or one "
                "of your own as {file: path/to/file.py}"
            )
        entry = from_file(str(name), folder / value["file"], value["file"])
        rest = {key: inner for key, inner in value.items() if key != "file"}
        found[str(name)] = {"file": value["file"]} | (_settings(entry, rest, folder) or {})
        entries = {**entries, str(name): entry}
    return _with_what_they_read(found, entries, named)


def _with_what_they_read(
    found: dict[str, Any], entries: Mapping[str, Analysis], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Switch off what reads an analysis that is off, or refuse it where it is named."""
    off = True
    while off:  # what reads it in turn
        off = False
        for name, settings in found.items():
            for other, optional in entries[name].others:
                if settings is False or optional or found.get(other, False) is not False:
                    continue
                if named.get(name, False) is not False:
                    raise UserError(
                        f"analyses.{name}: it reads what {other} gives, which is off; allowed: "
                        f"analyses.{other}: true beside it"
                    )
                found[name], off = False, True
    return found


def chosen(completed: Mapping[str, Any], folder: Path) -> tuple[Chosen, ...]:
    """Return the analyses that are on, in the order of the page.

    Args:
        completed: from `complete_analyses`.
        folder: what paths of users' files start at.
    """
    found = []
    for name, settings in completed.items():
        if settings is False:
            continue
        rest = {key: value for key, value in settings.items() if key != "file"}
        file = settings.get("file", "")
        entry = from_file(name, folder / file, file) if file else built_in()[name]
        found.append(Chosen(entry, rest, file))
    return tuple(sorted(found, key=lambda one: (one.analysis.place, one.analysis.name)))


def _settings(entry: Analysis, value: Any, folder: Path) -> dict[str, Any] | Literal[False]:
    if value is False:
        return False
    if value is not True and not isinstance(value, Mapping):
        raise UserError(
            f"analyses.{entry.name}: found {value!r}; allowed: true, false, or a mapping of its "
            "settings"
        )
    fragment = {"type": "object", "additionalProperties": False, "properties": entry.settings}
    where = f"analyses.{entry.name}"
    completed = completed_by(fragment, {} if value is True else value, where)
    if entry.check_settings is not None:
        try:
            entry.check_settings(completed, folder)
        except UserError as error:
            raise UserError(f"{where}.{error}") from error
    return completed
