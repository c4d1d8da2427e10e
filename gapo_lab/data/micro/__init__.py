"""Generated edits of one line."""
