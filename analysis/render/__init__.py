"""A table as LaTeX, HTML, Markdown, text, CSV or an image."""
