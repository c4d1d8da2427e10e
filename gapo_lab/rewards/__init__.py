"""Rewards in plain Python: the edit reward of Eq. 5, outliers, the diversity of list answers."""
