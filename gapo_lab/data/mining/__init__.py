"""Edits mined from the histories of git repositories."""
