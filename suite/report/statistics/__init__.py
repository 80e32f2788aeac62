"""From rows to numbers: scores, intervals, times, aggregates over games."""
