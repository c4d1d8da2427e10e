"""A reward: the share of an answer's words that are the one that was asked for."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    """Return the reward as `score`, and two numbers more, which become metrics."""
    said = solution_str.split()
    right = ground_truth in said
    return {"score": right / max(1, len(said)), "acc": right, "words": len(said)}
