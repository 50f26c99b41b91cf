"""Variscope: what every unit of a neural network is sensitive to, and how sure that is.

`decompose` runs a study in this process, and `decompose_table` one of a model on a table; the
Snakemake workflow at the top of the repository runs the same for large ones. Importing this package
is cheap: torch is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from variscope.version import __version__

__all__ = ["UserError", "__version__", "decompose", "decompose_table", "difference"]

if TYPE_CHECKING:
    from variscope.decomposition import decompose
    from variscope.decomposition_tables import decompose_table
    from variscope.errors import UserError
    from variscope.indices.differences import difference


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "decompose":
        from variscope.decomposition import decompose

        return decompose
    if name == "decompose_table":
        from variscope.decomposition_tables import decompose_table

        return decompose_table
    if name == "difference":
        from variscope.indices.differences import difference

        return difference
    if name == "UserError":
        from variscope.errors import UserError

        return UserError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
