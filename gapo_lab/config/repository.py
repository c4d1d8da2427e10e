"""Hydra's repository of config files, which reads those that ship with GAPO Lab and verl once while a process lives."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from hydra._internal import config_loader_impl
from hydra._internal.config_repository import CachingConfigRepository

from gapo_lab.config import search_path
from gapo_lab.config.fast_yaml import fast_yaml


class Repository(CachingConfigRepository):
    """Reads a shipped file once for all of its kind, one of the user's once for itself."""

    # Hydra changes what it is given: each repository has a copy of its own, and unpickling is the fastest
    _shipped: ClassVar[dict[str, bytes]] = {}

    def load_config(self, config_path: str) -> Any:
        if not search_path.is_shipped_file(config_path):
            return super().load_config(config_path)
        if config_path not in self.cache:
            if config_path not in self._shipped:
                with fast_yaml():
                    self._shipped[config_path] = pickle.dumps(self.delegate.load_config(config_path))
            self.cache[config_path] = pickle.loads(self._shipped[config_path])
        return self.cache[config_path]


@contextmanager
def for_hydra() -> Iterator[None]:
    """Let Hydra's own composing read through `Repository` while the block runs: with -m it composes twice."""
    theirs = config_loader_impl.CachingConfigRepository
    config_loader_impl.CachingConfigRepository = Repository
    try:
        yield
    finally:
        config_loader_impl.CachingConfigRepository = theirs
