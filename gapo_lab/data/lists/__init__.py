"""Generated lists to choose an item from."""
