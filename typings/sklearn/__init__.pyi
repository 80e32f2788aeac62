"""What the suite and its tests call of scikit-learn, which has no types of its own."""
