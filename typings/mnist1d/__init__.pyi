"""What the suite and its tests call of mnist1d, which has no types of its own."""
