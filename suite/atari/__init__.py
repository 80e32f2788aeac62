"""What is known of Atari: games, sets of them, published protocols and scores."""
