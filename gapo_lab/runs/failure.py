"""Why a run failed: the few lines of its log that say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gapo_lab.runs.status import Cause
from gapo_lab.utils.text import without_colours

# Ray puts "(TaskRunner pid=12, ip=10.0.0.1) " before each line of another process.
_PROCESS = re.compile(r"^(\([^()]*pid=\d+[^()]*\)) ?")
_REPEATED = re.compile(r" \[repeated \d+x across cluster\].*$")
_HEAD = "Traceback (most recent call last):"
_WRAPPED = re.compile(r"^(?:ray\.exceptions\.)?RayTaskError\b|^ray::")
# What other processes say because the first one died, and what a Ctrl-C leaves.
_AFTERMATH = re.compile(
    r"^(?:[\w.]*\.)?(?:ActorDiedError|ActorUnavailableError|RayActorError|WorkerCrashedError|"
    r"OwnerDiedError|RaySystemError|CancelledError|TaskCancelledError|KeyboardInterrupt|"
    r"SystemExit|BrokenPipeError|ConnectionResetError|EOFError)\b"
)
_MEMORY = (
    r"out[-_ ]of[-_ ]memory|OutOfMemory|\boom\b|oom[-_ ]kill|memory pressure|low on memory|"
    r"exceeded (?:job )?memory limit"
)
# What Ray says when its processes have not heard of each other for a minute.
_LOST = r"Failed to connect to GCS within \d+ seconds|GCS has been unavailable|missed too many heartbeats"
_FATAL = re.compile(
    rf"{_MEMORY}|{_LOST}|no space left on device|address already in use|"
    r"segmentation fault|SIGSEGV|SIGBUS|core dumped|fatal python error",
    re.IGNORECASE,
)


# What a person can do before the run is resumed, by the cause that `failure_cause` names.
REMEDIES = {
    Cause.OUT_OF_MEMORY: "take a smaller batch or less per GPU (model.max_tokens_per_gpu, "
    "actor_rollout_ref.rollout.gpu_memory_utilization), or more memory",
    Cause.DISK_FULL: "free some space",
    Cause.NO_RAY: "where the load is above the cores, give the machine less to do at a time (cluster.max_parallel=1) "
    "or Ray longer (cluster.ray_patience); else the log has Ray's own words",
    Cause.RAY_LOST: "give the machine less to do at a time (cluster.max_parallel), or see whether its network holds",
    Cause.KILLED: "something ended it from outside, perhaps for its memory",
    Cause.NONE: "fix the cause",
}
# Stricter than `_MEMORY`: searched for in a whole log, where libraries give advice, too.
_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|oom[-_ ]kill|OOM Killed|low on memory|"
    r"std::bad_alloc|Cannot allocate memory|MemoryError",
    re.IGNORECASE,
)
# Ray's guesses at why its own server is gone, which name memory whatever happened.
_SERVERS_GUESS = re.compile(r"Possible reasons include: .*|This can happen when a\b.*")
# What a process says that ends by its own fault, and Ray's guess at why a process is gone, which names memory first.
_CRASHED = re.compile(r"Fatal Python error|SIG(?:ABRT|SEGV|BUS|ILL|FPE) received")
_GUESS = re.compile(r"Some common causes include: .*")
_DISK_FULL = re.compile(r"no space left on device|disk is full|disk quota", re.IGNORECASE)
_RAY_LOST = re.compile(_LOST)
_NO_RAY = re.compile(r"Ray did not come up|current node timed out during startup")


def is_out_of_memory(line: str) -> bool:
    """Whether a line that says why a process or a job ended names its memory."""
    return re.search(_MEMORY, line, re.IGNORECASE) is not None


def failure_cause(log_text: str, code: int) -> Cause:
    """Why a job ended with ``code`` (below 0: that signal): a key of ``REMEDIES``.

    Where a process has said that it crashed, Ray's guess that it was killed for its memory does not count.
    """
    log_text = _SERVERS_GUESS.sub("", log_text)
    if _CRASHED.search(log_text):
        log_text = _GUESS.sub("", log_text)
    for cause, words in (
        (Cause.OUT_OF_MEMORY, _OUT_OF_MEMORY),
        (Cause.DISK_FULL, _DISK_FULL),
        (Cause.NO_RAY, _NO_RAY),
        (Cause.RAY_LOST, _RAY_LOST),
    ):
        if words.search(log_text):
            return cause
    return Cause.KILLED if code < 0 else Cause.NONE


class _Found(NamedTuple):
    at: int
    place: str
    message: list[str]


def failure_lines(log_text: str, limit: int = 6, tail: bool = True) -> list[str]:
    """Return the lines of a train.log that say why the run failed, at most ``limit``.

    The last traceback's exception line(s) after the place in the code that raised it, without Ray's
    prefixes and wrappers; tracebacks that are only the aftermath of another process's death count
    last. Without a traceback: lines that name a fatal cause, else the log's last lines.

    tail: False leaves those out, which say nothing of a job that was ended from outside.
    """
    lines = [without_colours(raw).rstrip() for raw in _SERVERS_GUESS.sub("", log_text).splitlines()]
    found = sorted(one for stream in _streams(lines) for one in _exceptions(stream))
    first_hand = [one for one in found if not _AFTERMATH.match(one.message[0])]
    fatal = list(dict.fromkeys(_PROCESS.sub("", text) for text in lines if _FATAL.search(text)))
    if first_hand or (found and not fatal):
        last = (first_hand or found)[-1]
        chosen = [*([last.place] if last.place else []), *last.message][:limit]
    else:
        chosen = (fatal or [text for text in lines if text and tail])[-limit:]
    return [text if len(text) <= 400 else text[:397] + "..." for text in chosen]


def _streams(lines: Sequence[str]) -> Iterable[list[tuple[int, str]]]:
    """Return the numbered lines of each process, which Ray writes between one another, without the prefix."""
    streams: dict[str, list[tuple[int, str]]] = {}
    for number, text in enumerate(lines):
        match = _PROCESS.match(text)
        process = match[1] if match else ""
        streams.setdefault(process, []).append((number, _REPEATED.sub("", _PROCESS.sub("", text))))
    return streams.values()


def _exceptions(stream: Sequence[tuple[int, str]]) -> Iterable[_Found]:
    """Yield the exceptions that end the tracebacks of one process's lines.

    A traceback is a head, indented frames, then the exception; where that is Ray's wrapper the frames of
    the other process follow, and the real exception ends them.
    """
    inside, place = False, ""
    for i, (number, text) in enumerate(stream):
        if text.strip() == _HEAD or _WRAPPED.match(text.strip()):
            inside, place = True, ""
        elif inside and text.startswith((" ", "\t")):
            if text.lstrip().startswith("File "):
                place = text.strip()
        elif inside and text:
            inside = False
            if place:
                yield _Found(number, place, [text, *_continued(stream[i + 1 : i + 5])])


def _continued(following: Iterable[tuple[int, str]]) -> Iterable[str]:
    """Yield the indented lines right after an exception line: they belong to its message."""
    for _, text in following:
        if not text.startswith((" ", "\t")):
            return
        yield text.strip()
