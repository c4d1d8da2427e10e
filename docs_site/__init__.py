"""What `make docs` adds to the pages in docs/: references that are made from the sources."""
