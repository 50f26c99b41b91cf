"""How numbers, intervals and names are written in tables, pictures and sentences."""

import math
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
WITH_ARTICLE = ("order", "class", "image", "part")


def variable_label(name: str) -> str:
    """Write a variable's name for a reader.

    Example:
        >>> variable_label("gaussian_blur")
        'gaussian blur'
    """
    return name.replace("_", " ")


def variable_phrase(name: str) -> str:
    """Name a variable inside a sentence.

    Example:
        >>> variable_phrase("image"), variable_phrase("gaussian_blur")
        ('the image', 'gaussian blur')
    """
    return f"the {name}" if name in WITH_ARTICLE else variable_label(name)


def share_decimals(value: float) -> int:
    """Return the decimals that a share is written with: two, three below 0.01."""
    return 3 if 0 < abs(value) < 0.01 else 2


def share_text(value: float, decimals: int | None = None) -> str:
    """Write a share of variance: two decimals, three below 0.01; "undefined" for NaN.

    A true minus sign is used, and a value that rounds to zero carries none.

    Example:
        >>> share_text(0.344), share_text(0.0044), share_text(-0.02), share_text(math.nan)
        ('0.34', '0.004', '\N{MINUS SIGN}0.02', 'undefined')
    """
    if math.isnan(value):
        return "undefined"
    if decimals is None:
        decimals = share_decimals(value)
    text = f"{abs(value):.{decimals}f}"
    return MINUS + text if value < 0 and float(text) != 0 else text


def interval_text(low: float, high: float, decimals: int | None = None) -> str:
    """Write an interval; "[no interval]" where a bound is NaN.

    Example:
        >>> interval_text(0.301, 0.378)
        '[0.30, 0.38]'
    """
    if math.isnan(low) or math.isnan(high):
        return "[no interval]"
    return f"[{share_text(low, decimals)}, {share_text(high, decimals)}]"


def estimate_text(value: float, low: float, high: float) -> str:
    """Write an estimate with its interval; "undefined" for NaN.

    The bounds take as many decimals as the estimate.

    Example:
        >>> estimate_text(0.34, 0.301, 0.378), estimate_text(0.004, 0.001, 0.012)
        ('0.34 [0.30, 0.38]', '0.004 [0.001, 0.012]')
    """
    if math.isnan(value):
        return "undefined"
    decimals = share_decimals(value)
    return f"{share_text(value, decimals)} {interval_text(low, high, decimals)}"


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence.

    Example:
        >>> join_words(["hue"]), join_words(["hue", "order"]), join_words(["hue", "order", "class"])
        ('hue', 'hue and order', 'hue, order and class')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def count_text(count: float, noun: str, plural: str | None = None) -> str:
    """Write a count with its noun.

    Example:
        >>> count_text(1, "unit"), count_text(1204, "unit"), count_text(2, "class", "classes")
        ('1 unit', '1,204 units', '2 classes')
    """
    return f"{count:,.0f} {noun if count == 1 else plural or noun + 's'}"


def bytes_text(count: float) -> str:
    """Write a size on disk in decimal units.

    Example:
        >>> bytes_text(512), bytes_text(1300), bytes_text(27.6e9)
        ('512 B', '1.3 kB', '27.6 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable: TB takes what is left")


def seconds_text(seconds: float) -> str:
    """Write a duration.

    Example:
        >>> seconds_text(0.4), seconds_text(12), seconds_text(185), seconds_text(7620)
        ('0.4 s', '12 s', '3 min 05 s', '2 h 07 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
