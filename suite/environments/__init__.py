"""What environments show and take: read from Gymnasium and envpool, without the engine."""
