"""How numbers, intervals and names are written in tables, pictures and sentences."""

import math
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
WITH_ARTICLE = ("order", "class", "image", "part")


def variable_label(name: str) -> str:
    """Write a variable's name for a reader: "gaussian_blur" becomes "gaussian blur"."""
    return name.replace("_", " ")


def variable_phrase(name: str) -> str:
    """Name a variable inside a sentence: "the image", "gaussian blur"."""
    return f"the {name}" if name in WITH_ARTICLE else variable_label(name)


def share_decimals(value: float) -> int:
    """Return the decimals that a share is written with: two, three below 0.01."""
    return 3 if 0 < abs(value) < 0.01 else 2


def share_text(value: float, decimals: int | None = None) -> str:
    """Write a share of variance: two decimals, three below 0.01; "undefined" for NaN.

    A true minus sign is used, and a value that rounds to zero carries none.
    """
    if math.isnan(value):
        return "undefined"
    if decimals is None:
        decimals = share_decimals(value)
    text = f"{abs(value):.{decimals}f}"
    return MINUS + text if value < 0 and float(text) != 0 else text


def interval_text(low: float, high: float, decimals: int | None = None) -> str:
    """Write an interval: "[0.30, 0.38]"; "[undefined]" where a bound is NaN."""
    if math.isnan(low) or math.isnan(high):
        return "[undefined]"
    return f"[{share_text(low, decimals)}, {share_text(high, decimals)}]"


def estimate_text(value: float, low: float, high: float) -> str:
    """Write an estimate with its interval: "0.34 [0.30, 0.38]"; "undefined" for NaN.

    The bounds take as many decimals as the estimate.
    """
    if math.isnan(value):
        return "undefined"
    decimals = share_decimals(value)
    return f"{share_text(value, decimals)} {interval_text(low, high, decimals)}"


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence: "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def count_text(count: float, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun: "1 unit", "1,204 units"."""
    return f"{count:,.0f} {noun if count == 1 else plural or noun + 's'}"


def bytes_text(count: float) -> str:
    """Write a size on disk in decimal units: "512 B", "1.3 kB", "27.6 GB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable: TB takes what is left")


def seconds_text(seconds: float) -> str:
    """Write a duration: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
