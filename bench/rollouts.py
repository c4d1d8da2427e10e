"""The rollout server against a bare batched `generate` of transformers, on the nano model and its tasks."""

from __future__ import annotations

from bench.measurement import Row, side_by_side

PROMPTS, ROLLOUTS, NEW_TOKENS = 32, 8, 24


def rollout_server_against_generate() -> list[Row]:
    """`CpuRolloutServer.generate_batch` against `model.generate` with the same weights and padded prompts.

    Sampled at T=1.0 with nothing cut off; both stop at 24 new tokens. The server shares each prompt's prefill among
    its rollouts and lets ended rows leave the batch.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from gapo_lab.data.micro.generator import generate
    from gapo_lab.data.tasks.prompt import messages
    from gapo_lab.paths import NANO
    from gapo_lab.training.cpu.rollout_server import CpuRolloutServer

    folder = str(NANO / "checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    server = CpuRolloutServer(folder, "float32", NEW_TOKENS, seed=0)
    server.update_weights(list(model.named_parameters(remove_duplicate=False)))
    prompts = [
        tokenizer.apply_chat_template(messages(task), add_generation_prompt=True, return_dict=False)
        for task in generate("train", PROMPTS)
    ]
    padded = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")

    def ours():
        server.generate_batch(prompts, ROLLOUTS, 1.0, 1.0, -1, seed=0)

    def theirs():
        torch.manual_seed(0)
        with torch.no_grad():
            model.generate(
                **padded,
                do_sample=True,
                temperature=1.0,
                top_p=1.0,
                top_k=0,
                num_return_sequences=ROLLOUTS,
                max_new_tokens=NEW_TOKENS,
            )

    seconds = side_by_side(ours, theirs, repeats=7)
    return [Row(f"rollout server / generate, {PROMPTS} x {ROLLOUTS} rollouts", *seconds, 1.0)]
