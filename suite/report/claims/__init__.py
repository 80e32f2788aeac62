"""Published claims as executable checks: a file per paper and topic, a small function per claim."""
