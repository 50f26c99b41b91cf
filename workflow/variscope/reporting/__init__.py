"""The report page of an experiment: sentences, tables and pictures on one HTML page."""
