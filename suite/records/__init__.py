"""Rows, provenance and the folder of one run: what a run leaves behind."""
