"""One task: its parts, its prompt, its row in a parquet file."""
