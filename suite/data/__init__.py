"""Data sets: real images that are embedded, found on disk or downloaded."""
