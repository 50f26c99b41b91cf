"""Responses that are measured elsewhere: a design is exported, and its responses are taken in."""
