"""What code the runs of a report had: their commits, or the package that was installed."""

from __future__ import annotations

from analysis.results.code_of_runs import code
from analysis.results.runs import Run
from gapo_lab.runs.provenance import Code, Machine, Origin, Provenance
from gapo_lab.runs.status import NEW
from gapo_lab.tracking import mapping


def run(git: Code, **packages: str) -> Run:
    tags = mapping.tags({"model": "nano"}, Provenance(Origin(git=git), Machine(packages=packages)), NEW)
    return Run("a", "s", "", "a", "FINISHED", 0, tags=tags)


def test_a_run_of_a_wheel_has_a_package_in_place_of_a_commit():
    wheel = Code(missing="not a git repository", package="gapo_lab 0.1.0")
    assert code([run(wheel), run(wheel)]) == {"package": ["gapo_lab 0.1.0"]}
    both = [run(wheel), run(Code(commit="c0ffee"), **{"gapo-lab": "0.1.0"})]
    assert code(both) == {"commits": ["c0ffee"], "package": ["gapo_lab 0.1.0"]}
    assert code([run(Code())]) == {"commits": ["unknown"]}
