"""What a word is meant for: the key that `lr` stands for, the shortest ending of a key, the nearest name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

# Of several keys that end alike, a person means one of these, and of those the one with the fewest further parts.
LIKELIEST = (
    "trainer.",
    "data.",
    "algorithm.",
    "actor_rollout_ref.actor.",
    "actor_rollout_ref.rollout.",
    "actor_rollout_ref.model.",
    "cluster.",
    "model.",
    "reward.",
    "rehearsal.",
)


def ending_with(ending: str, keys: Iterable[str]) -> list[str]:
    """Return the keys whose last parts are ``ending``, the one that is most likely meant first."""
    found = [key for key in keys if key == ending or key.endswith(f".{ending}")]
    return sorted(found, key=lambda key: (key != ending, _rank(key)))


def _rank(key: str) -> tuple:
    place = next((place for place, start in enumerate(LIKELIEST) if key.startswith(start)), len(LIKELIEST))
    known = place < len(LIKELIEST)
    return (not known, key.count(".") - (LIKELIEST[place].count(".") if known else 0), place, key)


def short(key: str, keys: Collection[str]) -> str:
    """Return the shortest ending that means ``key`` among ``keys``; different keys have different endings."""
    parts = key.split(".")
    for start in range(len(parts) - 1, 0, -1):
        ending = ".".join(parts[start:])
        if ending_with(ending, {*keys, key})[0] == key:
            return ending
    return key


def nearest(word: str, keys: Collection[str]) -> list[str]:
    """Return up to two keys that ``word`` may be meant for, the likeliest first.

    Its last parts decide first, then how it begins, then how it is spelled.
    """
    if not word:
        return []
    if found := _by_last_parts(word, keys):
        return found[:1]
    if longer := sorted((key for key in keys if key.startswith(f"{word}_")), key=len):
        return longer[:2]
    if "_" in word and (found := sorted((key for key in keys if _has_pieces(key, word)), key=_rank)):
        return found[:1]
    from difflib import get_close_matches

    if close := get_close_matches(word, keys, n=1, cutoff=0.8):
        return close
    endings = {".".join(key.split(".")[-word.count(".") - 1 :]) for key in keys}
    if close := get_close_matches(word, endings, n=1, cutoff=0.8):
        return ending_with(close[0], keys)[:1]
    return get_close_matches(word, keys, n=1, cutoff=0.5) or ending_with(word.rpartition(".")[2], keys)[:1]


def did_you_mean(word: str, options: Collection[str], prefix: str = "") -> str:
    """Return ``did you mean grpo?`` for the options that ``word`` may be meant for; empty where none is near."""
    found = [prefix + name for name in nearest(word, options)]
    return f"did you mean {' or '.join(found)}?" if found else ""


def _by_last_parts(word: str, keys: Collection[str]) -> list[str]:
    """Return the keys that end with ``word``, also as `steps` ends `total_training_steps`; else those with its
    parts."""
    whole = ending_with(word, keys)
    if whole[:1] == [word]:
        return whole
    if "." not in word:
        return sorted(
            {*whole, *(key for key in keys if key.rpartition(".")[2].endswith(f"_{word}"))},
            key=lambda key: (*_rank(key)[:2], key not in whole, _rank(key)),
        )
    return whole or sorted((key for key in keys if _has_parts(key, word)), key=_rank)


def _has_pieces(key: str, word: str) -> bool:
    """Whether ``key`` is ``word`` with more inside its last part: `trainer.total_steps`, `total_training_steps`."""
    (node, _, last), (wanted_node, _, wanted) = key.rpartition("."), word.rpartition(".")
    pieces = iter(last.split("_"))
    return node.endswith(wanted_node) and all(piece in pieces for piece in wanted.split("_"))


def _has_parts(key: str, word: str) -> bool:
    """Whether ``key`` has the parts of ``word`` in their order, the last one last: `actor.lr` in `actor.optim.lr`."""
    parts, wanted = iter(key.split(".")), word.split(".")
    return key.endswith(f".{wanted[-1]}") and all(part in parts for part in wanted)
