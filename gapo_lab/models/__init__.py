"""The models that ship with GAPO Lab or are unpacked by it, and sampling from them."""
