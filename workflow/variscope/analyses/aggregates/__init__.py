"""All aggregates of a model and a variable set as one table, ``summary.csv``."""

from variscope.analyses.registry import Analysis, Table, integer, number, share, text

_SHARES = (
    ("weighted_mean", "variance-weighted mean over the units"),
    ("low", "lower confidence bound of the mean"),
    ("high", "upper confidence bound of the mean"),
)
_QUANTILES = (
    ("q05", "5 % quantile of the units' own indices"),
    ("q25", "lower quartile of the units' own indices"),
    ("median", "median of the units' own indices"),
    ("q75", "upper quartile of the units' own indices"),
    ("q95", "95 % quantile of the units' own indices"),
)

ANALYSIS = Analysis(
    name="aggregates",
    title="Every aggregate as a table",
    question="What are layers, channels, tokens and features sensitive to, in numbers?",
    scope="set",
    place=90,
    tables=(
        Table(
            name="summary",
            path="summary.csv",  # users' scripts read it there
            title="Aggregates of layers, channels, tokens and features",
            shown=0,
            columns=(
                text("design", "cycle or star"),
                text("layer", "name of the layer"),
                integer("channel", "its number, empty for other rows"),
                integer("token", "its number, empty for other rows"),
                integer("feature", "its number, empty for other rows"),
                text("variable", "variable, pair (S2) or group of variables"),
                text("index", "S1, ST, shapley, S2 or shapley_group"),
                *(share(name, meaning) for name, meaning in _SHARES),
                number("confidence_level", "of the bounds"),
                *(share(name, meaning) for name, meaning in _QUANTILES),
                integer("units", "units with indices"),
            ),
        ),
    ),
)
