"""A model that cannot be read is no reason to check nothing else: another stands in for it."""

from __future__ import annotations

from collections.abc import Sequence

from gapo_lab.config import sweep_grid
from gapo_lab.config.user_models import model_of
from gapo_lab.doctor.finding import Finding, note, wrong
from gapo_lab.errors import UserError

# A shipped model that trains on GPUs, cut so that it asks for one of them where nobody says how many.
MODEL, CUT = "qwen_coder_3b", ("model.gpus=1", "model.tensor_parallel=1")


def replaced(words: Sequence[str]) -> tuple[list[str], list[Finding]]:
    """Return the overrides with the stand-in in place of each model that cannot be read, and why it cannot be."""
    out, findings = [], []
    for word in words:
        key, _, value = word.partition("=")
        if key != "model":
            out.append(word)
            continue
        names = []
        for name in value.split(","):
            try:
                model_of(name)
                names.append(name)
            except UserError as error:
                findings.append(wrong("settings", str(error)))
                names.append(MODEL)
        out.append(f"model={','.join(dict.fromkeys(names))}")
    if not findings:
        return list(words), []
    given = {sweep_grid.key(word) for word in words}
    cut = [word for word in CUT if word.partition("=")[0] not in given]
    what = "how many GPUs the runs need is not known before; what follows is checked as for a model on GPUs"
    return [*out, *cut], [*findings, note("settings", what)]


def is_about(finding: Finding) -> bool:
    """Whether the finding is about the stand-in itself, of which nobody has asked."""
    return finding.about in (f"model {MODEL}", f"tokenizer {MODEL}")
