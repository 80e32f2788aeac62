"""Interventions on training, one file per method, called by slot through one stack."""
