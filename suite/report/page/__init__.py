"""The report in words and tables, as one page and for a terminal."""
