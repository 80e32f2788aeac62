"""Finds the weights whose scale does not change the outputs, by the network's forward passes."""
