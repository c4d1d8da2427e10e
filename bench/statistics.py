"""How often the report's statistics err, and what they see, by simulation: `python -m bench --only statistics`."""

from __future__ import annotations

import math

import numpy as np

from bench.measurement import Row

METHODS = (
    *("gmpo", "krpo", "qae", "grpo", "gapo_grpo", "gapo_grpo_median_std", "gapo_grpo_mean_div"),
    *("dapo", "gapo_dapo", "gapo_dapo_median_std", "gapo_dapo_mean_div"),
)
MODELS, SEEDS = ("nano", "nano_large"), 5
# What an interval is over.
OVER = ("seeds and examples", "seeds")
# Mean seeds until E >= 20, at most 20, by the true difference in standard deviations (shared/facts/statistics.md, 3).
WANTED_SEEDS = {0.5: 18.4, 1.0: 12.8, 1.5: 8.6, 2.0: 7.0, 3.0: 5.8}
# Of the first study, in points of exact match: the standard deviation over training seeds, at most about, and what
# the sampled answers of one validation add to it (shared/facts/statistics.md, 1).
TRAINING_SD, ANSWERS_SD = 0.6, 1.15


def statistics_of_a_whole_report() -> list[Row]:
    """Simulate reports of `+sweep=paper`'s eleven methods, two models, two test sets and five seeds in which nothing
    differs. A report errs if it calls any method better or worse. Each shows 78 comparisons, of which four are claims.
    For comparison: the share of reports with at least one 95% confidence interval that excludes zero.
    """
    from analysis.paper import conventions
    from analysis.results.measurements import Measured, Trials
    from analysis.statistics import families, inference
    from analysis.tables import claims

    rng, metrics, reports = np.random.default_rng(0), ("val/id/em", "val/ood/em"), 400
    wrong = seen = 0
    for _ in range(reports):
        shown = {}
        for metric in metrics:
            drawn = {
                (model, method): Trials(None, {}, dict(enumerate(rng.normal(size=SEEDS).tolist())))  # type: ignore[arg-type]
                for model in MODELS
                for method in METHODS
            }
            wanted = [
                (model, method, baseline, drawn[model, method], drawn[model, baseline])
                for model, method in drawn
                for baseline in conventions.baselines(method)
            ]
            shown[metric] = inference.compare(Measured(metric, "final", {}), wanted)
        judged = [one for some in families.confirmed(shown, claims.papers(metrics)).values() for one in some]
        wrong += any(one.verdict in ("better", "worse") for one in judged)
        seen += any(not one.holds_zero for one in judged)
    return [
        Row("nothing differs: reports that say better or worse / 6 of 100", wrong / reports, 0.06, 1.0, ""),
        Row("nothing differs: reports with an interval that excludes zero / all", seen / reports, 1.0, None, ""),
    ]


def statistics_of_intervals() -> list[Row]:
    """Simulate how many 95% confidence intervals over five seeds miss the true mean; 5 of 100 should. The results of
    seeds are normal, heavy-tailed (Student's t with 3), skewed (exponential), or one seed in ten collapses by ten
    standard deviations. No interval of five seeds is valid against such a collapse. The rows "pooled" are tests at the
    5% level, pooled over two equal models whose seeds are independent or correlate by 0.8. A report prints that
    correlation below the table and does not correct for it: with 0.8 the test rejects in 15 of 100 cases.
    """
    from analysis.statistics.intervals import intervals
    from analysis.statistics.pooling import pooled
    from analysis.statistics.two_samples import welch

    rng, many = np.random.default_rng(1), 4000
    kinds = {
        "normal": (rng.normal(size=(many, SEEDS)), 0.0, 1.1),
        "heavy tails": (rng.standard_t(3, size=(many, SEEDS)), 0.0, 1.1),
        "skewed": (rng.exponential(size=(many, SEEDS)), 1.0, None),
        "one seed in ten collapses": (
            rng.normal(size=(many, SEEDS)) - 10 * (rng.random((many, SEEDS)) < 0.1),
            -1.0,
            None,
        ),
    }
    rows = []
    for name, (values, truth, target) in kinds.items():
        missed = np.mean([not low <= truth <= high for low, high in intervals(values.tolist())])
        rows.append(Row(f"intervals of five seeds that miss, {name} / 5 of 100", float(missed), 0.05, target, ""))
    for rho, target in ((0.0, 1.0), (0.8, None)):
        shared, own = rng.normal(size=(2, 1500, 2, 1, SEEDS)), rng.normal(size=(1500, 2, 2, SEEDS))
        values = math.sqrt(rho) * shared[0] + math.sqrt(1 - rho) * own
        missed = np.mean([pooled([welch(*model) for model in one.swapaxes(0, 1)]).p <= 0.05 for one in values])
        name = f"pooled over two models, seeds correlate {rho:g}: rejects / 6 of 100"
        rows.append(Row(name, float(missed), 0.06, target, ""))
    return rows


def statistics_of_seeds_until_decided() -> list[Row]:
    """Simulate a claim to which seeds are added one at a time, from five to at most 20, until E >= 20. The first row is
    how often it is decided although nothing differs; the second is the same for a t test at the 5% level after each
    seed. The others are the mean number of seeds, where an undecided claim counts as 20, by the true difference in
    standard deviations of a pair's difference. They are compared with an independent simulation of the same rule.
    """
    from scipy.special import stdtrit

    from gapo_lab.utils.e_process import BAR, log_e

    rng, studies, most = np.random.default_rng(2), 4000, 20
    rows = []
    for size in (0.0, *WANTED_SEEDS):
        values = rng.normal(size, size=(studies, most))
        n = np.arange(1, most + 1)
        mean = values.cumsum(axis=1) / n
        var = ((values**2).cumsum(axis=1) - n * mean**2) / np.maximum(n - 1, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = mean / np.sqrt(var / n)
        decided = np.zeros((studies, most), bool)
        for seeds in range(SEEDS, most + 1):
            decided[:, seeds - 1] = [log_e(one, seeds) >= math.log(BAR) for one in t[:, seeds - 1].tolist()]
        stopped = np.where(decided.any(axis=1), decided.argmax(axis=1) + 1, most)
        if size:
            share = decided.any(axis=1).mean()
            name = f"seeds until decided, difference {size:g} sd ({share:.0%} are) / independent simulation"
            rows.append(Row(name, float(stopped.mean()), WANTED_SEEDS[size], 1.05, ""))
        else:
            error = float(decided.any(axis=1).mean())
            rows.append(Row("nothing differs, tested after each seed: decided / 5 of 100", error, 0.05, 1.0, ""))
            beyond = np.abs(t) > -stdtrit(np.maximum(n - 1, 1), 0.025)
            naive = float(beyond[:, SEEDS - 1 :].any(axis=1).mean())
            rows.append(Row("nothing differs, a t test after each seed: decided / 5 of 100", naive, 0.05, None, ""))
    return rows


def statistics_of_exact_measures() -> list[Row]:
    """Simulate how often Welch's t test finds a true difference of one percentage point of exact match. The training
    seeds of a method have a standard deviation of 0.6 points, about the most that the first study allows. Sampled exact
    match adds 1.15 points, the noise of one validation of 1,024 examples. Expected exact match adds nothing.
    """
    from analysis.statistics.two_samples import welch

    rng, studies = np.random.default_rng(5), 4000
    rows = []
    for seeds in (SEEDS, 2 * SEEDS):
        for what, sd in (("sampled", math.hypot(TRAINING_SD, ANSWERS_SD)), ("expected", TRAINING_SD)):
            ours, theirs = rng.normal(1, sd, size=(studies, seeds)), rng.normal(0, sd, size=(studies, seeds))
            found = np.mean([welch(*pair).p <= 0.05 for pair in zip(ours.tolist(), theirs.tolist(), strict=True)])
            name = f"a difference of one point, {what} exact match, {seeds} seeds: found / all"
            rows.append(Row(name, float(found), 1.0, None, ""))
    return rows


def statistics_of_the_best_validation() -> list[Row]:
    """Simulate by how many points the best of four sampled validations exceeds the true value at the last one. Each has
    a noise of 1.15 points. The true curve is flat, or rises by 0.8 points from each validation to the next. The last
    validation itself does not flatter.
    """
    rng, runs = np.random.default_rng(6), 100_000
    noise = rng.normal(0, ANSWERS_SD, size=(runs, 4))
    rows = []
    for what, rise in (("flat", 0.0), ("rises by 0.8", 0.8)):
        best = (noise + rise * np.arange(-3, 1)).max(axis=1)
        name = f"points by which the best of four validations flatters, curve {what} / 1"
        rows.append(Row(name, float(best.mean()), 1.0, None, ""))
    return rows


def statistics_of_new_cases() -> list[Row]:
    """Simulate two methods that are equal on average over all possible examples. On each example their logits differ
    by a normally distributed effect with standard deviation one. There are five seeds, 512 examples and exact
    accuracies. The rows are how often a confidence interval excludes zero: over seeds and examples (Cameron, Gelbach
    and Miller 2011), and over seeds alone, which is valid for these 512 examples only.
    """
    from analysis.statistics.crossed import crossed
    from analysis.statistics.two_samples import welch

    rng, studies = np.random.default_rng(3), 1000
    wrong = alone = 0
    for _ in range(studies):
        hard, effects = rng.normal(0, 2, size=512), rng.normal(0, math.sqrt(0.5), size=(2, 1, 512))
        logits = hard + effects + rng.normal(0, 0.03, size=(2, SEEDS, 1)) + rng.normal(0, 0.3, size=(2, SEEDS, 512))
        ours, theirs = 1 / (1 + np.exp(-logits))
        wrong += crossed(ours, theirs).p <= 0.05
        alone += welch(ours.mean(axis=1), theirs.mean(axis=1)).p <= 0.05
    both, one = (f"new examples, equal methods: intervals over {what} that exclude zero / 6 of 100" for what in OVER)
    return [
        Row(both, wrong / studies, 0.06, 1.0, ""),
        Row(one, alone / studies, 0.06, None, ""),
    ]


def statistics_of_speed() -> list[Row]:
    """Simulate two methods with the same learning curve, validated eleven times with a noise of one percentage point,
    five seeds each. The rows are how often the interval of the steps to one threshold excludes zero, and how often the
    paper's Step-delta is a dash or differs from zero by 20% of the training or more.
    """
    from analysis.results.curves import Curve
    from analysis.results.step_delta import step_delta
    from analysis.statistics.speed import speed

    rng, steps, studies = np.random.default_rng(4), np.arange(0, 101, 10), 300
    curve = 0.2 + 0.3 * (1 - np.exp(-steps / 20))
    wrong = odd = 0
    for _ in range(studies):
        ours, theirs = (
            [Curve(steps, curve + rng.normal(0, 0.005) + rng.normal(0, 0.01, len(steps))) for _ in range(SEEDS)]
            for _ in range(2)
        )
        found, papers = speed(ours, theirs), step_delta(ours, theirs)
        wrong += found is None or not found.low <= 0 <= found.high
        odd += papers is None or abs(papers) >= 20
    name = "equal curves: steps to one threshold, intervals that exclude zero / 6 of 100"
    return [
        Row(name, wrong / studies, 0.06, 1.0, ""),
        Row("equal curves: the paper's Step-delta, a dash or 20% of the training / all", odd / studies, 1.0, None, ""),
    ]
