"""Rows of the user's own in verl's format: finding their files, reading, checking."""
