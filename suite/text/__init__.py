"""Text that goes out: no passwords in it, and nothing that a terminal would obey."""
