"""Everything that knows Ray, RLlib or MLflow; no mathematics here."""
