"""From sweep files to trials: YAML, axes, search, changes from the command line, labels."""
