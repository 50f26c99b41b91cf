"""Pictures of a study: arrays and named dimensions in, matplotlib figures out.

`draw_...` functions draw on axes and return what they drew; the functions here build whole figures
from the DataTree (or one layer's Dataset) that `variscope.decompose` returns. Nothing is estimated
here, and pyplot's state is not touched.
"""

from variscope.figures.heat_maps import summary
from variscope.figures.lines import comparison, convergence, depth
from variscope.figures.map_triangles import pair_maps
from variscope.figures.moment_maps import moments
from variscope.figures.pair_triangles import pairs
from variscope.figures.sample_images import samples
from variscope.figures.specialised_units import specialised
from variscope.figures.style import save
from variscope.figures.unit_maps import maps

__all__ = [
    "comparison",
    "convergence",
    "depth",
    "maps",
    "moments",
    "pair_maps",
    "pairs",
    "samples",
    "save",
    "specialised",
    "summary",
]
