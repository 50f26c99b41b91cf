"""A light copy of matplotlib's font for PDF files.

A PDF brings the letters of its fonts that it uses. Cutting them out takes longer than all else of
writing a picture, and nearly all of it goes into the font's tables for ligatures and for scripts
whose letters change with their neighbours. The copy is without these tables and scripts. It is made
once per process, in a twentieth of a second.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib
from fontTools import subset
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

_FAMILY, _ORIGINAL = "Variscope Sans", "DejaVu Sans"

# Latin, Greek and Cyrillic; punctuation, arrows and operators.
_LETTERS = frozenset([0x0A, *range(0x20, 0x530), *range(0x2000, 0x2300)])


@contextmanager
def light_fonts(figure: Figure) -> Iterator[None]:
    """Draw a figure's text with the light copy for a while.

    Not where the user has chosen another font, or text needs letters that the copy lacks.
    """
    families = matplotlib.rcParams["font.sans-serif"]
    used = {ord(letter) for text in figure.findobj(Text) for letter in text.get_text()}
    if families[0] == _ORIGINAL and used <= _LETTERS and _made():
        families = [_FAMILY, *families]
    with matplotlib.rc_context({"font.sans-serif": families}):
        yield


@cache
def _made() -> bool:
    """Make the copies and tell matplotlib of them; False where they cannot be written."""
    options = subset.Options(
        layout_features=[], name_IDs=["*"], glyph_names=True, notdef_outline=True
    )
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "MATH", "FFTM"]
    try:
        folder = tempfile.mkdtemp(prefix="variscope-fonts-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for weight, style in (("normal", "Regular"), ("bold", "Bold")):
            wanted = font_manager.FontProperties(family=_ORIGINAL, weight=weight)
            with subset.load_font(font_manager.findfont(wanted), options) as font:
                subsetter = subset.Subsetter(options)
                subsetter.populate(unicodes=_LETTERS)
                subsetter.subset(font)
                for record in font["name"].names:
                    if record.nameID == 1:
                        record.string = _FAMILY
                    elif record.nameID == 2:  # "Book" would be taken for a weight of its own
                        record.string = style
                path = Path(folder, f"{weight}.ttf")
                font.save(path)
            font_manager.fontManager.addfont(path)
    except OSError:
        return False
    return True
