"""The methods in pure torch, a file each: `gapo_lab/methods/NAME.py` holds a function NAME.

An estimator takes rewards (B,) and groups (B,) and gives advantages (B,); a loss takes log_prob (B, L),
old_log_prob, advantages, mask and the clip range and gives a loss a rollout (B,). `from gapo_lab.methods import
NAME` finds every function here; a new file needs no other line anywhere.
"""

from importlib import import_module
from pkgutil import iter_modules

from gapo_lab.methods.gapo import window_size as window_size

ESTIMATORS, LOSSES = {}, {}  # by name
for _found in iter_modules(__path__):
    _method = getattr(import_module(f"{__name__}.{_found.name}"), _found.name, None)
    if callable(_method):
        _first = next(iter(_method.__annotations__))
        (ESTIMATORS if _first == "rewards" else LOSSES)[_found.name] = globals()[_found.name] = _method
