"""The paper's conventions and its published numbers."""
