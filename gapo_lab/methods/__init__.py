"""The methods in pure torch, a file each: `gapo_lab/methods/NAME.py` holds a function NAME.

An estimator takes rewards (B,) and groups (B,) and gives advantages (B,); a loss takes log_prob (B, L),
old_log_prob, advantages, mask and the clip range and gives a loss a rollout (B,). `from gapo_lab.methods import
NAME` finds every function here; a new file needs no other line anywhere (`gapo_lab.method_registry` reads them).
"""

from importlib import import_module

from gapo_lab import method_registry
from gapo_lab.methods.gapo import window_size as window_size

ESTIMATORS, LOSSES = {}, {}  # functions by name
for _found in method_registry.methods():
    _method = getattr(import_module(f"{__name__}.{_found.name}"), _found.name)
    _of_its_kind = ESTIMATORS if _found.kind is method_registry.Kind.ESTIMATOR else LOSSES
    _of_its_kind[_found.name] = globals()[_found.name] = _method
