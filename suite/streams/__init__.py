"""Streams: supervised problems whose data, inputs or labels change from phase to phase."""
