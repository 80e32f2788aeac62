"""Which weights a network's outputs do not feel the scale of, told by its own forward passes."""
