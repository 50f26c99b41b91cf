"""Evaluation: design rows, altered batches, the network, layer outputs."""
