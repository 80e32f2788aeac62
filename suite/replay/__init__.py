"""Replay memory in numpy: the frame ring."""
