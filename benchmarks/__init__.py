"""What Variscope costs, compared with its peers: one command each, ``python -m benchmarks.X``."""

import sys
from pathlib import Path

# This clone's package and closed forms, not others that happen to be installed.
_TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TOP / "workflow"), str(_TOP / "tests")]
