"""Whether a tokenizer gives back what it was given: one that does not trains a model on other text, without a word.

Known case: deepseek-coder's tokenizer_config.json names LlamaTokenizerFast beside a byte-level tokenizer.json. With
transformers 5 such a folder drops every space and line end (transformers issue 46489).
"""

from __future__ import annotations

from gapo_lab.errors import UserError

# Begins with a letter: a tokenizer may treat the very first space in its own way.
SAMPLES = (
    "def f(a, b):\n    return  a + b\n",
    "if (x)\n{\n\t\ty = 1;\t// two\n}\n\n\nend",
    "name = 'Größe — 日本 🙂'  # naïve\n",
)


def lost(tokenizer) -> str | None:
    """Return the first sample line that comes back changed, and how, as `'a b' became 'ab'`; None when all come back.

    tokenizer: one of transformers', or what has its ``encode`` and ``decode``.
    """
    for text in SAMPLES:
        ids = tokenizer.encode(text, add_special_tokens=False)
        back = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if back != text:
            return f"{text!r} became {back!r}"
    return None


def check_tokenizer(tokenizer, name: str) -> None:
    """Raise UserError where the tokenizer of ``name``, a folder or a Hugging Face id, loses text."""
    if said := lost(tokenizer):
        raise UserError(
            f"model.path={name}: its tokenizer ({type(tokenizer).__name__}) does not give back what it is given: "
            f'{said}. Download the model, write "tokenizer_class": "PreTrainedTokenizerFast" into its '
            "tokenizer_config.json, and give model.path=FOLDER"
        )
