"""Where runs are read from: run folders, or MLflow behind a database file or a server."""
