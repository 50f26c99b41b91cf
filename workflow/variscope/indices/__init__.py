"""Indices: from sums to a layer's dataset, and what is read out of a study's tree."""
