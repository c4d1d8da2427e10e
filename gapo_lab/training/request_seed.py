"""The seed of one vLLM request: the answers hang on nothing else. Pure."""

from __future__ import annotations

import hashlib


def request_seed(run_seed: int, *, step: int, source: str, index: int, rollout: int) -> int:
    """Return the seed of one request, from 0 to 2^63 - 1 (what torch's generators take).

    The same run seed, training step, data source, row of that source and rollout number give the same seed, whatever
    the order of the requests; any other gives another.
    """
    text = f"{int(run_seed)} {int(step)} {source} {int(index)} {int(rollout)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
