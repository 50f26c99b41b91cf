"""A study as a workflow: its configuration, what it amounts to, its jobs, and provenance."""
