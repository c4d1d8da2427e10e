"""Tasks to train and test on, from their source to verl's parquet files."""
