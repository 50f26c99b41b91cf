"""Stores: chunked, checksummed Zarr between the rules, and the results that users open."""
