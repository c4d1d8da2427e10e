"""Make nano's third checkpoint, for `data=micro_blocks`: nano taught regions of several lines, and some kinds rarely.

    python -m gapo_lab.models.nano.block_warm_start --out DIR

It starts from nano's own weights. Nothing is smoothed: what RL raises is then what the model can do, and not only how
sure it is. With one thread the same arguments give the same weights on the same machine and torch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gapo_lab.data.micro.blocks import RARE_KINDS, generate
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.models.nano.exact_match import exact_match
from gapo_lab.models.nano.warm_start import Teaching, asked, save, teach
from gapo_lab.utils import command_line

DTYPE = "bfloat16"  # of the checkpoint: half the size


@dataclass(frozen=True)
class BlockStart(Teaching):
    """How long and how hard to teach."""

    steps: int = 600
    rate: float = 1e-3
    warmup: int = 20
    smoothing: float = 0.0


def train(settings: BlockStart, tokenizer, report: Callable | None = None):
    """Nano's own weights, taught for `settings.steps` steps. `report(step, loss, model)` is called after each."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(settings.seed)
    model = AutoModelForCausalLM.from_pretrained(vocabulary.FOLDER, dtype=torch.float32)
    return teach(model, settings, tokenizer, partial(generate, "warm"), report)


def main(arguments: list[str] | None = None) -> None:
    """Teach, measure on 512 ID tasks, save."""
    import torch

    settings, out = asked("block_warm_start", __doc__, BlockStart, arguments)
    tokenizer = vocabulary.load()
    began = time.monotonic()

    def report(step: int, loss: float, _model) -> None:
        if step % 50 == 0:
            print(f"step {step}  loss {loss:.3f}  {time.monotonic() - began:.0f} s", flush=True)

    # what is measured is what is written: rounded where the checkpoint is
    model = train(settings, tokenizer, report).to(getattr(torch, DTYPE))
    save(model, tokenizer, out)
    model = model.float()
    tasks = generate("id", 512)
    rare = [task for task in tasks if task.kind in RARE_KINDS]
    for name, some in (("id", tasks), ("id, rare kinds", rare)):
        torch.manual_seed(0)
        greedy, sampled = (exact_match(model, tokenizer, some, t) for t in (0.0, 1.0))
        print(f"{name}: exact match {greedy:.1%} greedy, {sampled:.1%} sampled at T=1")


if __name__ == "__main__":
    sys.exit(command_line.script(main))
