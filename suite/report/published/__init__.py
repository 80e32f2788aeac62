"""Published figures, drawn again from rows and laid out for comparison with the papers."""
