"""Thirty ultrasound frames of one heart, a film that pydicom carries: no download is needed.

They have no classes, and are one source: nothing about hearts can be said from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from variscope.errors import UserError
from variscope.inputs.class_folders import Listed
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.datasets.image_folder import table_of_files
from variscope.inputs.dicom import require_pydicom
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import UNLABELLED, ImageTable, Progress

FILE = "data/test_files/examples_ybr_color.dcm"


def _file() -> Path:
    """Return the film. It lies in the package; pydicom's own examples might be downloaded."""
    where = "dataset.kind echocardiogram"
    require_pydicom(where)
    spec = find_spec("pydicom")
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(folders[0] if folders else "pydicom") / FILE
    if not path.is_file():
        raise UserError(f"{where}: {path} is not there; reinstall pydicom")
    return path


def _listing(settings: DatasetSettings) -> Iterator[str]:
    _file()
    yield f"pydicom {version('pydicom')} {FILE}"


@dataset_kind("echocardiogram", listing=_listing)
def open_echocardiogram(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """Open the film's frames, 240 x 320 px; image_size is needed."""
    path = _file()
    listed = Listed(classes=UNLABELLED, entries=[(path.name, 0, -1)], bad=[], notes=[])
    return table_of_files(path.parent, listed, settings, on_progress, skipped)
