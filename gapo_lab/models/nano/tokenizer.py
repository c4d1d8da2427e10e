"""Nano's tokenizer: a byte-level BPE whose pieces are the words and signs of the micro edits.

A word is one token wherever it stands, because the pre-tokenizer never joins letters with signs or spaces:
so a copy of a word is a copy of a token. The markers of the prompt are single tokens that swallow the line
ends around them; any other text survives as bytes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from gapo_lab.data.micro.generator import generate
from gapo_lab.data.tasks.prompt import MARKERS
from gapo_lab.paths import NANO

FOLDER = NANO / "checkpoint"
PAD, END, ANSWER = "<|pad|>", "<|im_end|>", "<|answer|>"
VOCABULARY = 640
# A path is one piece, a keyword takes its space along, a diff sign its line end, a sign the spaces around it.
PIECES = (
    r"(?:app|lib)\.[a-z]+|(?:return|if|let|const|var|val|local) |[A-Za-z_]+|[0-9]{1,3}"
    r"|\r?\n[-+]?| ?[^\sA-Za-z0-9_]+ ?|\s"
)
# Nano reads the user's message alone: the system message never changes.
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% elif m.role == 'assistant' %}"
    "<|answer|>{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)


def train(size: int = 3000) -> PreTrainedTokenizerFast:
    """Learn the vocabulary from `size` train and `size` OOD tasks: 256 bytes, the specials, then merges.

    The lines of the OOD tasks are read so that their keywords are words too; their edits are not.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    line_end_free = [
        AddedToken(m, lstrip=True, rstrip=True, special=True)
        for m in ("<|history|>", "<|file|>", "<|code|>", "<|user|>")
    ]
    plain = [AddedToken(m, special=True) for m in (PAD, END, ANSWER, *MARKERS[3:6])]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*plain, *line_end_free],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(size), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=256,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


@cache
def load(folder: Path = FOLDER) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a checkpoint folder, as any user of the folder reads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def _texts(size: int):
    for split in ("train", "ood"):
        for task in generate(split, size, seed=1):
            hunks = "".join(f"\n-{h.before}\n+{h.after}" for h in task.history)
            yield f"{task.path}{hunks}\n{task.code}"
            yield task.history[0].path
            yield task.truth
