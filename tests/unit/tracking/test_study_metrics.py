"""What a study's page shows is what its runs are about."""

from __future__ import annotations

from gapo_lab.tracking import cell_means, study_metrics

SUMMARY = {
    "first/id/acc": 0.1,
    "final/id/acc": 0.3,
    "best/id/acc": 0.4,
    "best/id/step": 20.0,
    "best/dev/acc": 0.4,
    "best/aime/acc": 0.2,
    "best/id/em": 0.0,
    "final/train/reward": 0.2,
}


def test_a_study_on_another_metric_has_its_columns_and_curves():
    measured = study_metrics.of_run(SUMMARY, (), None)
    assert measured == ["id/acc", "aime/acc"]
    columns = study_metrics.columns(measured)
    assert columns[:3] == ["metrics.`best/id/acc`", "metrics.`final/id/acc`", "metrics.`best/aime/acc`"]
    assert not any("em`" in name for name in columns)
    charts = study_metrics.charts(measured)
    assert charts["Accuracy"] == ["val/id/acc", "val/aime/acc", "val/id/acc_greedy", "val/aime/acc_greedy"]
    assert list(study_metrics.charts(["id/words"])) == ["Validation", "Training"]


def test_expected_exact_match_is_shown_where_it_is_measured():
    summary = {
        f"{which}/{where}/{name}": 0.2
        for which in ("final", "best")
        for where in ("id", "dev", "ood")
        for name in ("em", "em_expected")
    }
    measured = study_metrics.of_run(summary, (), None)
    assert measured == ["id/em", "ood/em", "id/em_expected", "ood/em_expected"]
    assert study_metrics.of_run(None, ["val/id/em", "val/id/em_expected"], None) == ["id/em", "id/em_expected"]
    shown = study_metrics.shown(study_metrics.joined(None, measured))
    assert shown == ["id/em_expected", "ood/em_expected", "id/em", "ood/em"]
    assert study_metrics.columns(shown)[:2] == ["metrics.`best/id/em_expected`", "metrics.`final/id/em_expected`"]
    charts = study_metrics.charts(shown)["Accuracy"]
    assert charts[:2] == ["val/id/em_expected", "val/ood/em_expected"]
    assert "val/id/em_greedy" in charts and "val/id/em_expected_greedy" not in charts


def test_a_cell_has_the_means_of_what_its_page_shows():
    names = [
        f"{which}/{where}/{name}"
        for which in ("first", "final", "best")
        for where in ("id", "near")
        for name in ("em", "em_expected", "em_expected_t50", "em_greedy", "em_loglik", "words", "step", "step_greedy")
    ]
    assert cell_means.compared(names) == [
        *(f"best/{where}/{name}" for where in ("id", "near") for name in ("em", "em_expected", "words")),
        *(f"final/{where}/{name}" for where in ("id", "near") for name in ("em", "em_expected", "em_greedy", "words")),
        "mean/perf/throughput",
        "wall_seconds",
    ]


def test_before_the_end_the_names_of_the_metrics_say_it():
    names = ["val/id/acc", "val/id/words", "val/dev/acc", "train/reward"]
    assert study_metrics.of_run(None, names, None) == ["id/acc"]
    assert study_metrics.of_run(None, names, "words") == ["id/words"]
    assert study_metrics.of_run(None, names, "nothing") == study_metrics.of_run(None, [], None) == []


def test_runs_add_to_a_page_and_never_take_away():
    first = study_metrics.joined(None, [])
    assert study_metrics.shown(first) == ["id/em", "ood/em"] == study_metrics.shown(None)
    second = study_metrics.joined(study_metrics.joined(first, ["id/acc"]), ["id/em", "id/acc"])
    assert study_metrics.shown(second) == ["id/acc", "id/em"]
    assert study_metrics.joined(second, ["id/acc"]) == second
