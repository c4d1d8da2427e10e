"""Nano answers tasks: batched generation and exact match, without verl."""

from __future__ import annotations

from collections.abc import Sequence

from gapo_lab.data.tasks.prompt import messages
from gapo_lab.data.tasks.task import Task

LONGEST_ANSWER = 40


def prompt_ids(tokenizer, tasks: Sequence[Task]) -> list[list[int]]:
    """Return the token ids of each task's prompt, ending with the marker that asks for the answer."""
    texts = tokenizer.apply_chat_template([messages(t) for t in tasks], add_generation_prompt=True, tokenize=False)
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


def answers(model, tokenizer, tasks: Sequence[Task], temperature: float = 0.0, batch: int = 256) -> list[str]:
    """Return the model's answer to each task: greedy at temperature 0, else sampled from torch's own seed."""
    import torch

    found: list[str] = []
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    model.eval()
    for start in range(0, len(tasks), batch):
        rows = prompt_ids(tokenizer, tasks[start : start + batch])
        inputs = tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        with torch.no_grad():
            full = model.generate(
                **inputs,
                max_new_tokens=LONGEST_ANSWER,
                pad_token_id=tokenizer.pad_token_id,
                **(sampling if temperature > 0 else {"do_sample": False}),
            )
        found += tokenizer.batch_decode(full[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def exact_match(model, tokenizer, tasks: Sequence[Task], temperature: float = 0.0) -> float:
    """Return the share of tasks answered with the truth, both stripped (paper, section 4)."""
    texts = answers(model, tokenizer, tasks, temperature)
    return sum(a.strip() == t.truth.strip() for a, t in zip(texts, tasks, strict=True)) / len(tasks)
