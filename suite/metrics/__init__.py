"""Metrics: pure functions of parameters, features and predictions; all values are floats."""
