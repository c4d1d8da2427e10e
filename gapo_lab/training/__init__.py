"""The process that trains with verl."""
