"""Data on Atari: games, sets of games, published protocols and scores."""
