"""Runs of nano side by side: they train, weights arrive, one is killed and goes on, a seed gives the same run twice."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.gpu import curves
from bench.gpu.conductor import last_line
from bench.gpu.findings import Notebook
from bench.gpu.form import Form
from bench.gpu.runs import CLEARING_SECONDS, POLL_SECONDS, Run, wait

# What the rows call the runs of a form.
LABELS = {"same": "undisturbed run", "killed": "killed run", "gapo": "run of gapo_grpo as usual"}
# vLLM starts with random weights. Once the actor's have arrived its probabilities are the actor's, up to rounding:
# fp32 on a CPU, at most at any token; bf16 on a GPU, on average.
ARRIVED = {"vllm_cpu": ("max", 1e-4), "vllm": ("mean", 1e-2)}


def run(form: Form, notebook: Notebook) -> None:
    """Carry the runs of the form out, as many side by side as it says, and write down what is found of each."""
    runs = {name: Run(form.work / name, words) for name, words in form.runs().items()}
    try:
        _carry_out(runs, form, notebook)
        _tell_what_is_left(runs, notebook)
    finally:
        for each in runs.values():
            each.end()


def _carry_out(runs: Mapping[str, Run], form: Form, notebook: Notebook) -> None:
    waiting, active, ended, most = list(runs), [], set(), 0
    killed_after: int | None = None
    while waiting or active:
        while waiting and len(active) < form.at_a_time:
            active.append(waiting.pop(0))
            runs[active[-1]].start()
        most = max(most, len(active))
        time.sleep(POLL_SECONDS)
        for name in list(active):
            each = runs[name]
            due = name == "killed" and killed_after is None and each.reached(1)
            if due and not each.has_ended():
                killed_after = _kill_and_start_again(each, runs, notebook)
            elif each.has_ended():
                active.remove(name)
                ended.add(name)
                _tell(name, each, form, notebook)
                if name in ("same", "killed") and {"same", "killed"} <= ended:
                    _compare(runs, killed_after or 0, form, notebook)
    notebook.found("most runs at a time", most)


def _kill_and_start_again(killed: Run, runs: Mapping[str, Run], notebook: Notebook) -> int:
    """Kill it and start it again once all of it is gone; the step that it goes on after."""
    killed.kill()
    began = time.monotonic()

    def look() -> None:
        for each in runs.values():
            each.look()

    gone = wait(lambda: not killed.left_behind(), CLEARING_SECONDS, meanwhile=look)
    step = killed.folder.resume_step()
    what = f"kill -9 after step {step}: state of the run, and seconds until none of its processes was left"
    state = killed.folder.status().state
    value = f"{state}, {time.monotonic() - began:.1f} s" if gone else f"{state}, left: {killed.left_behind()[0]}"
    notebook.found(what, value, f"interrupted, at most {CLEARING_SECONDS:.0f} s", gone and state == "interrupted")
    killed.start()
    return step


def _tell(name: str, run: Run, form: Form, notebook: Notebook) -> None:
    """Note what one run has shown."""
    label = LABELS.get(name, f"run of {name}")
    if run.code != 0:
        notebook.found(f"{label}: exit code", f"{run.code}: {last_line(run.output)}", "0", False)
        return
    curve = run.folder.merged_metrics()
    steps = max(curve)
    wanted = int(next(word.partition("=")[2] for word in run.words if word.startswith("trainer.total_training_steps=")))
    notebook.found(f"{label}: steps trained", steps, str(wanted), steps == wanted)
    began = run.folder.merged_points()[min(step for step in curve if "timing_s/step" in curve[step])]["timing_s/step"]
    if name != "killed":
        notebook.found(f"{label}: seconds from the command to the first step", began.time - began.value - run.began)
    if (seconds := curves.step_seconds(curve)) is not None:
        notebook.found(f"{label}: seconds of a step", seconds)
    if validation := curves.validation_seconds(curve):
        expected, answers = validation
        notebook.found(f"{label}: seconds of a validation, for the probability of the reference answers", expected)
        notebook.found(f"{label}: seconds of a validation, for sampled and greedy answers", answers)
    if share := curves.parts(curve).get("advantages"):
        notebook.found(f"{label}: share of a step that the advantages take", f"{share[1]:.2%}")
    rewards = curves.values(curve, "train/reward")
    notebook.found(f"{label}: mean reward in the first and in the last step", f"{rewards[0]:.3f}, {rewards[-1]:.3f}")
    norms = curves.values(curve, "actor/grad_norm")
    notebook.found(f"{label}: smallest gradient norm", min(norms), "above 0", min(norms) > 0)
    if form.backend in ARRIVED:
        which, most = ARRIVED[form.backend]
        apart = max(curves.values(curve, f"training/rollout_probs_diff_{which}"))
        what = f"{label}: weights reach vLLM: its probabilities differ from the actor's by ({which})"
        notebook.found(what, apart, f"at most {most:g}, above 0", 0 < apart <= most)


def _compare(runs: Mapping[str, Run], killed_after: int, form: Form, notebook: Notebook) -> None:
    """Compare the same run twice: undisturbed, and killed on the way."""
    if any(runs[name].code for name in ("same", "killed")):
        return
    same, killed = (runs[name].folder.merged_metrics() for name in ("same", "killed"))
    attempts = len(runs["killed"].folder.attempts())
    notebook.found(f"{LABELS['killed']}: attempts until it had finished", attempts, "2", attempts == 2)
    before = [step for step in same if step <= killed_after]
    after = [step for step in same if step > killed_after]
    for when, steps in (("up to the kill", before), ("after the kill", after)):
        for what, names in (("answers", curves.ANSWERS), ("every metric", ("",))):
            apart = curves.difference(curves.science(same, names), curves.science(killed, names), steps)
            # on a GPU the update is not deterministic to the last bit (docs/gpus.md): that is seen, not wanted
            bits = form.on_gpu and (what, when) != ("answers", "up to the kill")
            found = apart or f"the same in {len(steps)} steps"
            notebook.found(
                f"killed run against the undisturbed one: {what} {when}",
                found,
                "" if bits else "the same",
                None if bits else not apart,
            )
    if form.on_gpu and runs["gapo"].code == 0:
        _tell_cost(runs, notebook)


def _tell_cost(runs: Mapping[str, Run], notebook: Notebook) -> None:
    plain, fixed = (curves.step_seconds(runs[name].folder.merged_metrics()) for name in ("gapo", "same"))
    if plain and fixed:
        notebook.found("seconds of a step, batch-invariant and deterministic / as usual", fixed / plain)


def _tell_what_is_left(runs: Mapping[str, Run], notebook: Notebook) -> None:
    left = [one for each in runs.values() for one in each.left_behind()]
    segments = sum(len(each.segments) for each in runs.values())
    scratch = [folder.name for each in runs.values() for folder in each.scratch]
    notebook.found("socket folders of all attempts", len(scratch), "each its own", len(set(scratch)) == len(scratch))
    notebook.found("shared-memory segments that the runs made", segments)
    notebook.found(
        "processes, shared-memory segments and sockets left at the end", left[0] if left else 0, "0", not left
    )
