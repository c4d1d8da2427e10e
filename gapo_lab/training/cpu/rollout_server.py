"""The rollout server of machines without a GPU: a Ray actor that holds the policy and samples from it.

Its methods are the ones verl calls on a server (`verl.workers.rollout.replica`), plus `generate_batch`,
which the batched manager uses, and `weights_digest`, which tells what the server holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from verl.workers.rollout.replica import TokenOutput

from gapo_lab.models.loading import network
from gapo_lab.models.sampling import SamplingParams, sample


class CpuRolloutServer:
    """One copy of the model in one process. Weights come from the actor before every rollout."""

    def __init__(self, model_path: str, dtype: str, response_length: int, seed: int, attention: str = "sdpa"):
        from transformers import AutoTokenizer

        torch.set_num_threads(1)
        self.model = network(model_path, dtype, attention)
        tokenizer = AutoTokenizer.from_pretrained(model_path)
        self.eos_ids = {tokenizer.eos_token_id}
        self.pad_id = tokenizer.pad_token_id
        self.response_length = response_length
        self.seed = seed
        self.global_steps = 0

    # -- what rollouts need

    def generate_batch(
        self,
        prompts: list[list[int]],
        n: int,
        temperature: float,
        top_p: float,
        top_k: int,
        seed: int,
        log_probs: bool = False,
    ):
        """`n` answers a prompt: (token ids of len(prompts) * n answers, their log-probs or None, weights version)."""
        params = SamplingParams(self.response_length, temperature=temperature, top_p=top_p, top_k=top_k)
        answers, likely = sample(self.model, prompts, n, params, self.eos_ids, self.pad_id, seed, log_probs)
        return answers, likely, self.global_steps

    def generate(self, prompt_ids: list[int], sampling_params: dict, request_id: str, **_) -> TokenOutput:
        """One answer, as verl's LLM client asks for it."""
        params = SamplingParams(
            max_new_tokens=sampling_params.get("max_tokens", self.response_length),
            temperature=sampling_params.get("temperature", 1.0),
            top_p=sampling_params.get("top_p", 1.0),
            top_k=sampling_params.get("top_k", -1),
        )
        seed = int.from_bytes(hashlib.sha256(f"{self.seed} {request_id}".encode()).digest()[:7], "big")
        wanted = bool(sampling_params.get("logprobs"))
        answers, likely = sample(
            self.model, [list(prompt_ids)], 1, params, self.eos_ids, self.pad_id, seed, log_probs=wanted
        )
        return TokenOutput(
            token_ids=answers[0],
            log_probs=likely[0] if likely else None,
            stop_reason="completed",
            extra_fields={"global_steps": self.global_steps},
        )

    # -- weights

    @torch.no_grad()
    def update_weights(self, weights: list[tuple[str, torch.Tensor]], global_steps: int | None = None) -> None:
        """Take over the actor's weights, by name. Raises KeyError for a name the model does not have."""
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        for name, value in weights:
            parameters[name].copy_(value)
        if global_steps is not None:
            self.global_steps = global_steps

    def weights_digest(self) -> str:
        """SHA-1 over names and values of the weights, to compare with the actor's."""
        return digest(self.model.named_parameters(remove_duplicate=False))

    # -- what verl calls around them; nothing to do where memory is not scarce

    def set_global_steps(self, global_steps: int) -> None:
        self.global_steps = global_steps

    def wake_up(self, tags: list[str] | None = None) -> None: ...

    def sleep(self) -> None: ...

    def clear_kv_cache(self) -> None: ...

    def release_kv_cache(self) -> None: ...

    def resume_kv_cache(self) -> None: ...

    def resume_generation(self) -> None: ...

    def abort_all_requests(self, reject_request: bool = False) -> None: ...

    def start_profile(self, **_) -> None: ...

    def stop_profile(self) -> None: ...


def digest(named: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-1 over (name, tensor) pairs in the order of their names."""
    sha = hashlib.sha1()
    for name, value in sorted(named, key=lambda pair: pair[0]):
        sha.update(name.encode())
        sha.update(value.detach().to(torch.float32).cpu().numpy().tobytes())
    return sha.hexdigest()
