"""What a report says about its runs: where they come from, what is missing, what may be concluded. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from analysis.paper import conventions
from analysis.results.code_of_runs import code
from analysis.results.curves import PICKS
from analysis.results.measurements import Measured
from analysis.results.runs import Selection
from analysis.statistics import families
from analysis.tables import captions, claims, untrained
from analysis.tables.paper import Results


def incomplete(selection: Selection, seeds: Sequence[int], measured: Sequence[Measured]) -> list[str]:
    """Cells with fewer trials than seeds, and why; cells that ran out of memory are complete without."""
    out = []
    for cell in selection.cells:
        gone = cell.missing(seeds)
        if gone and not (not cell.runs and cell.reason == "out of memory"):
            why = {run.seed: run.why_not for run in cell.unfinished}
            said = ", ".join(f"seed {seed} {why.get(seed, 'not run')}" for seed in gone)
            out.append(f"{cell.name}: {len(seeds) - len(gone)} of {len(seeds)} seeds ({said})")
        for one in measured:
            values = one.by_cell[cell.id].values
            without = [seed for seed in cell.seeds if seed not in values]
            if without and (values or one is measured[0]):
                seen = ", ".join(map(str, without))
                out.append(f"{cell.name}: no value of {one.metric} in seed{'s' if len(without) > 1 else ''} {seen}")
    return out


def absent(results: Results) -> list[str]:
    """Places of the grid without a result: out of memory, or never run."""
    out = []
    for column in results.grid.columns:
        not_run, variants = (
            [],
            any((row, column) in results.grid.at for row in results.grid.rows if row[0] in conventions.ABLATIONS),
        )
        for row in results.grid.rows:
            cell = results.grid.at.get((row, column))
            if cell is None and (variants or row[0] not in conventions.ABLATIONS):
                not_run.append(" ".join(row))
            elif cell is not None and not cell.runs and cell.reason == "out of memory":
                out.append(f"{cell.name}: out of memory")
        if not_run:
            out.append(f"{' '.join(column)}: {', '.join(not_run)} not run")
    return out


def cautions(drawn: Mapping[str, Results]) -> list[str]:
    """Return what the front says if numbers are an untrained model's: one sentence, or one a test set if they
    differ."""
    said = {metric: f"{text}." for metric, results in drawn.items() if (text := untrained.caution(results))}
    if len(said) == len(drawn) and len(set(said.values())) == 1:
        return [text[0].upper() + text[1:] for text in dict.fromkeys(said.values())]
    return [f"{captions.title(drawn[metric].measured)}: {text}" for metric, text in said.items()]


def open_claims(selection: Selection, drawn: Mapping[str, Results]) -> list[str]:
    """Claims that nothing here answers, and those that were named after the first runs."""
    out = [
        f"claim {claim}: not answered here, and so are those about a later metric"
        for claim in claims.of_runs(selection.runs) or ()
        if claim.metric not in drawn or families.answer(drawn[claim.metric].comparisons, claim) is None
    ]
    late = claims.named_later(selection.runs)
    return out + [f"claim {claim}: named after the first runs, so exploratory" for claim in late]


def facts(selection: Selection, measured: Sequence[Measured], seeds: Sequence[int]) -> Iterator[tuple[str, str]]:
    """(name, value) of what the report's head says; nothing of where the runs were read from, which changes no
    number."""
    finished = selection.runs
    dirty = sum(run.is_dirty for run in finished)
    newest = datetime.fromtimestamp(max(r.start for r in finished) / 1000, UTC)
    words = {n: sorted({c.params[n] for c in selection.cells if n in c.params}) for n in ("data", "scale")}
    yield (
        "Runs",
        f"{len(finished)} finished, in {sum(bool(c.runs) for c in selection.cells)} cells; seeds {_ranges(seeds)}",
    )
    for name, values in words.items():
        if values:
            yield name.capitalize(), ", ".join(values)
    if trained := sorted({text for c in selection.cells if c.runs and (text := _trained(c.params))}):
        yield "Training", "; ".join(trained)
    yield "Measure", "; ".join(dict.fromkeys(map(_measure, measured)))
    changed = f" ({dirty} runs with uncommitted changes)" if dirty else ""
    for kind, names in code(finished).items():
        is_commit = kind == "commits"
        shown = dict.fromkeys(name[:10] if is_commit else name for name in names)
        yield kind.capitalize(), ", ".join(shown) + (changed if is_commit else "")
    yield (
        "Hosts",
        ", ".join(sorted({run.host for run in finished if run.host})) or "unknown",
    )
    yield "Newest run", f"{newest:%Y-%m-%d %H:%M} UTC"
    for one in measured:
        how = _pick(one.pick)
        if one.pick in ("best", "peak") and one.metric.startswith("val/"):
            how += ". A step chosen by the set it is measured on makes each number too high; --pick dev does not"
        yield one.name, how


def _measure(one: Measured) -> str:
    """Return `Expected exact match accuracy (em_expected, which stands for em)`."""
    asked, read = (name.rpartition("/")[2] for name in (one.metric, one.name))
    what = captions.measure(one)
    instead = f", in place of {asked}" if read != asked else ""
    return f"{what} ({read}{instead})" if what != read else read + instead


def _trained(params: Mapping[str, str]) -> str:
    """`40 steps of 32 prompts x 8 rollouts, test sets of 1,024 (ID) and 512 (OOD) cases`; "" where it is not known."""
    if not {"steps", "prompts", "rollouts"} <= params.keys():
        return ""
    text = f"{params['steps']} steps of {params['prompts']} prompts x {params['rollouts']} rollouts"
    sets = [
        f"{int(params[f'{name}_size']):,} ({name.upper()})"
        for name in ("id", "ood")
        if params.get(f"{name}_size", "").isdecimal()
    ]
    return f"{text}, test sets of {' and '.join(sets)} cases" if sets else text


def _pick(pick: str) -> str:
    return f"{pick}: {PICKS[pick]}, then the mean over seeds"


def _ranges(seeds: Sequence[int]) -> str:
    whole = list(range(seeds[0], seeds[-1] + 1)) if seeds else []
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 and list(seeds) == whole else ", ".join(map(str, seeds))
