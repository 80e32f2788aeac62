"""Tables, figures and pages, rebuilt from rows alone."""
