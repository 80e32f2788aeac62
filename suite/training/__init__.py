"""The only code that steps an optimizer outside RLlib."""
