"""The documents as a site: `make docs` builds docs/_build from the pages where they lie.

Sphinx reads the repository itself, so that no page is copied and a relative link is the same link
on a code host and on the site. Only README.md gets something added: the list of all pages, which a
code host would show as text. The API reference is made from docstrings (docs/reference.md).
"""

from __future__ import annotations

import pkgutil
import re
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from variscope.version import __version__  # noqa: E402

project = "Variscope"
author = "the authors of Variscope"
copyright = f"{author}, MIT licence"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "docs/**.ipynb",
    "docs/reference/*.rst",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "config/README.md",
    "resources/README.md",
]
exclude_patterns = ["docs/_build", ".venv", ".snakemake", "results"]
templates_path = [str(ROOT / "docs" / "_templates")]

# Headings have the names that a code host gives them; a link to one that is not there fails.
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
nb_execution_mode = "off"  # outputs are committed, and a test executes the notebook again

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike", "ArrayLike": "ArrayLike"}
python_maximum_signature_line_length = 90
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are described once, by the class
default_role = "literal"

html_theme = "furo"
html_title = f"Variscope {__version__}"
html_copy_source = False
html_show_sphinx = False


def modules_of(name: str) -> list[str]:
    """Return the modules below one of this package, for the page of a room.

    Of a single analysis its entry stands for it: docs/analyses.md says what it makes.
    """
    folder = ROOT / "workflow" / Path(*name.split("."))
    found = []
    for module in pkgutil.iter_modules([str(folder)]):
        inner = f"{name}.{module.name}"
        found.append(inner)
        if module.ispkg and name != "variscope.analyses":
            found += modules_of(inner)
    return found


autosummary_context = {"modules_of": modules_of}
# The first is about that function: pages are read anew each time. The second about names of types
# that two rooms have; links of pages are checked by other names.
suppress_warnings = ["config.cache", "ref.python"]

# In the order of the sidebar, under the page that lists them; what is in no list fails the build.
PAGES = {
    "Guide": ("docs/notebook", "docs/manual", "config/README", "docs/responses", "docs/clusters"),
    "Background": ("docs/method", "docs/analyses", "benchmarks/README"),
    "Reference": ("docs/reference", "CONTRIBUTING", "CHANGELOG", "resources/README"),
}


def add_pages(app: Any, docname: str, source: list[str]) -> None:
    """Add the lists of pages to those that a code host shows without."""
    lists: dict[str, tuple[str, ...]] = {}
    if docname == root_doc:
        lists = PAGES
    elif docname == "benchmarks/README":
        lists = {"Tables": ("benchmarks/results/*",)}
    for caption, pages in lists.items():
        lines = "\n".join(f"/{page}" for page in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{lines}\n```\n"


def as_markup(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Read docstrings as they are meant: an indented block is as it stands, and so are * and |.

    Sphinx would take a formula for a quotation, the star of ``*unit`` for emphasis and the bars of
    an absolute value for a substitution. Google's sections have their headings just above them.
    """
    found: list[str] = []
    paragraph = ""  # the line above, blank ones left out, where it does not belong to a block
    as_it_stands = False
    for line in lines:
        indented = line.startswith("    ")
        starts = indented and paragraph and found and not found[-1].strip()
        if starts and not re.match(r"([-*]|\d+\.) ", paragraph):
            found += ["::", ""]
            as_it_stands = True
        if line.strip():
            as_it_stands = as_it_stands and indented
            paragraph = "" if indented else line
        found.append(line if as_it_stands or ">>>" in line else _escaped(line))
    lines[:] = found


def _escaped(line: str) -> str:
    """Escape what reStructuredText would read outside of backticks; modules become links."""
    line = re.sub(r"(?<!`)`(variscope\.[\w.]+)`(?!`)", r":py:obj:`\1`", line)
    pieces = re.split(r"(``.*?``|`.*?`)", line)
    pieces[::2] = [re.sub(r"([|]|(?<![*\w])[*](?=\w+[,)]))", r"\\\1", text) for text in pieces[::2]]
    return "".join(pieces)


def short_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Say ArrayLike where Sphinx says how it read it."""
    if signature is None:
        return None
    return re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature), returns


def finish(app: Any, exception: Exception | None) -> None:
    """Give the site its first page under the usual name, and refuse what a page would load."""
    if exception is not None or app.builder.name != "html":
        return
    shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")
    bad = [
        f"{page.relative_to(app.outdir)}: {tag}"
        for page in sorted(Path(app.outdir).rglob("*.html"))
        for text in [page.read_text("utf-8")]
        for tag in loads_from_elsewhere(text) + missing_pictures(text, page.parent)
    ]
    if bad:
        from sphinx.errors import ExtensionError

        raise ExtensionError("loaded from the network, or not there:\n" + "\n".join(bad[:10]))


def loads_from_elsewhere(html: str) -> list[str]:
    """Return the tags that load something from another place than the site itself."""
    tags = re.findall(r"<(?:link|script|img|iframe|source|video|audio|object|embed)\b[^>]*>", html)
    return [
        tag for tag in tags if re.search(r"""(?:href|src|srcset|data)=["']?(?:https?:)?//""", tag)
    ]


def missing_pictures(html: str, folder: Path) -> list[str]:
    """Return the pictures of a page in a folder that are not on the site."""
    found = re.findall(r"""<img\b[^>]*\bsrc=["']([^"':]+)["']""", html)
    return [name for name in found if not (folder / name).is_file()]


def setup(app: Any) -> None:
    """Connect what is above."""
    app.connect("source-read", add_pages)
    app.connect("autodoc-process-docstring", as_markup, priority=400)  # before Google's sections
    app.connect("autodoc-process-signature", short_signature)
    app.connect("build-finished", finish)
