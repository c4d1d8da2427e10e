"""MLflow, a copy of the run folders."""
