"""The space of a study: what is random, and how a point becomes an altered image."""
