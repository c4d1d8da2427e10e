"""What a GPU would make the host wait for, counted without one: tensors on the device `meta` stand for a GPU's."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

AWAY = torch.device("meta")
# Operations whose result, or its shape, the host must know: torch waits for the stream.
READS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "equal", "is_nonzero", "bincount")
COPIES = ("_to_copy", "copy_")


class HostWaits(TorchDispatchMode):
    """Notes in `waits` each operation at which the host would wait; the operation itself is carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._made: list[torch.Tensor] = []  # also keeps them alive, so that no id comes twice

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if self._waits(name, args, kwargs):
            self.waits.append(name)
        result = func(*args, **kwargs)
        self._made += _tensors(result)
        return result

    def _waits(self, name: str, args, kwargs) -> bool:
        if not any(tensor.device == AWAY for tensor in _tensors((args, kwargs))):
            return (
                name == "_to_copy" and torch.device(kwargs.get("device") or "cpu") == AWAY and not _asynchronous(kwargs)
            )
        if any(read in name for read in READS):
            return True
        if name.startswith("index"):
            return any(map(self._is_copied_mask_or_list, _tensors(args[1:])))
        if name in COPIES:
            crosses = name == "_to_copy" or args[0].device != args[1].device
            return crosses and not self._stays(name, kwargs) and not _asynchronous(kwargs, *args[2:])
        return False

    def _is_copied_mask_or_list(self, index: torch.Tensor) -> bool:
        """Whether torch must count the index's trues, fetch it from the host, or has made it of a Python list."""
        of_a_list = index.dtype == torch.long and not any(index is made for made in self._made)
        return index.dtype == torch.bool or index.device != AWAY or of_a_list

    @staticmethod
    def _stays(name: str, kwargs) -> bool:
        return name == "_to_copy" and torch.device(kwargs.get("device") or AWAY) == AWAY


def _asynchronous(kwargs, *positional) -> bool:
    return kwargs.get("non_blocking", positional[0] if positional else False) is True


def _tensors(tree) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
