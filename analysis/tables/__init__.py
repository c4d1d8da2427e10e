"""The tables of a report, independent of how they are rendered."""
