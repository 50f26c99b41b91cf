"""What is read out of the indices of a study: tables and aggregates, numpy and xarray only."""

from variscope.analyses.channels import channel_variance_share, leading_channels, map_over_channels
from variscope.analyses.specialised import specialised_units

__all__ = [
    "channel_variance_share",
    "leading_channels",
    "map_over_channels",
    "specialised_units",
]
