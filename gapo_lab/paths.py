"""Where the files that ship with GAPO Lab are: in a checkout, or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
# The folder that must be on sys.path for `import gapo_lab`.
IMPORT_ROOT = PACKAGE.parent
# How the address of a module that ships begins, where verl takes a file or a module.
SHIPPED_MODULE = f"pkg://{PACKAGE.name}."
# A wheel carries conf/, sweeps/ and slurm/ inside the package; a checkout has them beside it.
_BUNDLED = PACKAGE / "_bundled"
_SHIPPED = _BUNDLED if _BUNDLED.is_dir() else IMPORT_ROOT
CONF = _SHIPPED / "conf"
SWEEPS = _SHIPPED / "sweeps"
SLURM = _SHIPPED / "slurm"
# One file a method.
METHODS = PACKAGE / "methods"
# The shipped models: checkpoint, large_checkpoint, lists_checkpoint, blocks_checkpoint.
NANO = PACKAGE / "models" / "nano"
