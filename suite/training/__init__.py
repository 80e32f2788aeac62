"""Training: the only code outside RLlib that steps an optimizer."""
