"""The tables of the analyses as a page of the documents: `python -m variscope.analyses.documents`.

docs/analyses.md is what this prints; a test holds that.
"""

from __future__ import annotations

from collections.abc import Iterator

from variscope.analyses.registry import Analysis, built_in

FOLDERS = {
    "study": "results/<experiment>/<model>/<set>/<design>/",
    "set": "results/<experiment>/<model>/<set>/",
    "model": "results/<experiment>/<model>/",
    "experiment": "results/<experiment>/",
}

OPENING = """# Analyses: what each asks, and what it leaves

Made from the entries of the registry by `python -m variscope.analyses.documents`. Each analysis
has a section of the page, and is a target: `snakemake --cores 2 specialised`. Pictures are SVG, PNG
and PDF.
"""


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join(
        [OPENING, *(line for entry in built_in().values() for line in _section(entry))]
    )


def _section(entry: Analysis) -> Iterator[str]:
    yield from (f"## `{entry.name}`: {entry.title.lower()}", "", entry.question, "")
    folder = FOLDERS[entry.scope]
    for table in entry.tables:
        yield from (f"`{folder}{entry.table_path(table)}`: {table.title.lower()}.", "")
        yield from ("| column | kind | meaning |", "|---|---|---|")
        for column in table.columns:
            kind = f"{column.kind}, {column.unit}" if column.unit != "1" else column.kind
            yield f"| `{column.name}` | {kind} | {column.meaning} |"
        yield ""
    for picture in entry.pictures:
        series = {"all": ".svg", "layer": "/<layer>.svg", "set": "/<set>.svg"}[picture.of]
        yield from (
            f"`{folder}{entry.picture_path(picture)}{series}`: {picture.title.lower()}.",
            "",
        )
    for key, setting in entry.settings.items():
        default = f"(default {setting['default']})"
        yield f"- `analyses.{entry.name}.{key}` {default}: {setting['description']}"
    if entry.settings:
        yield ""


if __name__ == "__main__":
    print(page(), end="")
