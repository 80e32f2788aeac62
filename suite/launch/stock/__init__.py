"""RLlib's own algorithms as an engine of the suite."""
