"""Responses: rows of a design in, the outputs of a network or of anything measured out."""
