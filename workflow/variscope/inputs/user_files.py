"""Python files of the user's that the configuration names; imports nothing itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_LOADED: dict[tuple[Path, float], ModuleType] = {}


def load_file(path: Path) -> ModuleType:
    """Run a user's file as a module, once for each of its states."""
    key = (path.resolve(), path.stat().st_mtime)
    if key not in _LOADED:
        spec = importlib.util.spec_from_file_location(f"variscope_user_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses of the file look themselves up
        spec.loader.exec_module(module)
        _LOADED[key] = module
    return _LOADED[key]
