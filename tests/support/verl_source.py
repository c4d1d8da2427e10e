"""verl's source as text: which names its v1 trainer can read at all, without importing it."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache

from gapo_lab.config.search_path import verl_config_folder

# Files that a run here never executes: verl's older trainer and entries, other trainers, other engines.
NOT_RUN = (
    *("trainer/main_ppo", "trainer/ppo/ray_trainer.py", "trainer/sft_trainer", "trainer/main_generation"),
    *(
        "trainer/main_eval",
        "trainer/ppo/v1/trainer_separate",
        "trainer/ppo/v1/trainer_colocate",
        "trainer/constants_ppo",
    ),
    *("trainer/ppo/prefix_grouper", "experimental/fully_async", "experimental/one_step", "experimental/separation"),
    *("experimental/teacher_loop", "workers/engine_workers_tinker", "model_merger", "utils/megatron", "models/mcore"),
    *(f"workers/engine/{name}" for name in ("megatron", "mindspeed", "torchtitan", "veomni", "automodel")),
    *("workers/rollout/sglang", "workers/rollout/trtllm", "workers/rollout/hf", "workers/rollout/naive"),
    *("workers/rollout/schemas.py", "utils/skip", "workers/engine/fsdp/fsdp_turbo"),
)
# Where a key is only declared, copied or checked.
DECLARED = ("workers/config", "trainer/config", "utils/config.py", "utils/checkpoint/megatron")


@cache
def readers() -> dict[str, frozenset[str]]:
    """name -> the files, below verl/, that read an attribute or a key of that name."""
    root = verl_config_folder().parents[1]
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(root.rglob("*.py")):
        file = path.relative_to(root).as_posix()
        if file.startswith(NOT_RUN):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _names(node):
                found[name].add(file)
    return {name: frozenset(files) for name, files in found.items()}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        return [node.attr]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 100:
        return node.value.split(".")
    return []


def read_in(name: str) -> list[str]:
    """The files that read ``name`` for more than to declare or check it."""
    return sorted(file for file in readers().get(name, ()) if not file.startswith(DECLARED))
