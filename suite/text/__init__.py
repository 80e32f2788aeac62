"""Safe output text: without passwords and without terminal control sequences."""
