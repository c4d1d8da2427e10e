"""Two steps of a model of the size of Qwen2.5-1.5B with random weights: seconds by part, and GAPO's share of a step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bench.gpu import curves, estimators
from bench.gpu.conductor import last_line
from bench.gpu.findings import Notebook
from bench.gpu.form import Form
from bench.gpu.runs import Run, wait
from gapo_lab.paths import NANO

# Qwen2.5-1.5B's, and a shape for a CPU. The vocabulary of the small one is nano's own.
SHAPES: dict[str, dict[str, Any]] = {
    "cuda": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
        "vocab_size": 151_936,
    },
    "cpu": {
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,  # heads of 32: vLLM has no attention for smaller ones on a CPU
        "num_key_value_heads": 1,
        "intermediate_size": 256,
    },
}
LONG = 24 * 3600.0  # the conductor ends a stage that is late


def run(form: Form, notebook: Notebook) -> None:
    """Make the model, train two steps of it, and write down what they cost."""
    model = form.work / "random_model"
    parameters = make_model(model, form.device)
    notebook.found("parameters of the model, with random weights", f"{parameters:,}")
    training = Run(form.work / "large", form.large(model))
    try:
        training.start()
        wait(training.has_ended, LONG)
        if training.code != 0:
            raise RuntimeError(f"the run ended with {training.code}: {last_line(training.output)}")
        _tell(training, form, notebook)
    finally:
        training.end()
        shutil.rmtree(model, ignore_errors=True)


def make_model(folder: Path, device: str) -> int:
    """Write a model with random weights (bf16 on a GPU) and nano's tokenizer into the folder; its parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    nano = NANO / "checkpoint"
    small = json.loads((nano / "config.json").read_text(encoding="utf-8"))
    kept = {name: small.get(name) for name in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")}
    config = Qwen2Config(**{**kept, **SHAPES[device]}, max_position_embeddings=4096, tie_word_embeddings=True)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            model = Qwen2ForCausalLM(config)
        model.save_pretrained(folder)
    finally:
        torch.set_default_dtype(before)
    for file in nano.iterdir():
        if file.name not in ("config.json", "model.safetensors", "generation_config.json"):
            shutil.copy(file, folder / file.name)
    parameters = sum(each.numel() for each in model.parameters())
    del model
    if device == "cuda":
        torch.cuda.empty_cache()
    return parameters


def _tell(training: Run, form: Form, notebook: Notebook) -> None:
    curve = training.folder.merged_metrics()
    notebook.found("steps trained", max(curve), "2", max(curve) == 2)
    firsts = curves.values(curve, "timing_s/step")
    notebook.found(f"seconds of the first step{', which compiles' if form.on_gpu else ''}", firsts[0])
    seconds = curves.step_seconds(curve)
    notebook.found("seconds of the second step", seconds)
    for name, (spent, of_step) in curves.parts(curve).items():
        notebook.found(f"second step, {name}", f"{spent:.3g} s, {of_step:.2%}")
    if rate := curves.values(curve, "perf/throughput"):
        notebook.found("tokens a second", rate[-1])
    for name in ("allocated", "reserved"):
        memory = curves.values(curve, f"actor/perf/max_memory_{name}_gb")
        if any(memory):  # there is none without a GPU
            notebook.found(f"peak GPU memory of the actor, GiB {name}", max(memory))
    config = training.folder.config()
    rows = config["data"]["train_batch_size"] * config["actor_rollout_ref"]["rollout"]["n"]
    alone, _ = estimators.timed("gapo", estimators.token_batch(rows, config["data"]["max_response_length"], "cpu"))
    share = f" = {alone / seconds:.4%} of that step" if seconds else ""
    notebook.found(
        "GAPO's advantages of such a step alone, on the host, where verl computes them", f"{alone * 1e3:.3g} ms{share}"
    )
