"""How figures look: styles, axes, lines, curves, bars."""
