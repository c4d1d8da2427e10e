"""A method of the user's own, `algo=FILE.py:FUNCTION`: what a run takes from its file, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gapo_lab import method_registry
from gapo_lab.config.view import ConfigView
from gapo_lab.method_registry import Kind, Method
from gapo_lab.paths import CONF
from gapo_lab.planning.user_files import METHOD
from gapo_lab.utils.python_source import source
from gapo_lab.utils.value_rules import Rule

LOSS_MODE = "actor_rollout_ref.actor.policy_loss.loss_mode"


def names(config: ConfigView) -> tuple[str, ...]:
    """Return the estimator and the loss that a run with a file of its own asks for; none without one."""
    if not config.select(METHOD):
        return ()
    return (str(config.algorithm.adv_estimator), str(config.select(LOSS_MODE)))


def methods(config: ConfigView) -> dict[str, Method]:
    """Return the methods that a run takes from the user's file, by name."""
    return method_registry.user_methods(config.select(METHOD), *names(config))


def rules_of(method: Method) -> Mapping[str, Rule | None]:
    """Return what its settings may be: `SETTINGS` of its file; None for one that it does not name there."""
    return {**dict.fromkeys(method.defaults), **method.rules}


def problems(config: ConfigView) -> Iterator[str]:
    """Yield what is wrong with the user's file: nothing of it is run."""
    address, asked = config.select(METHOD), names(config)
    if not address or (path := source(address)) is None:
        return  # no file of one's own, or one that is not there, which is told with the files
    try:
        defined = {name: found for name in asked if (found := method_registry.read(path, name))}
    except (SyntaxError, ValueError):
        return  # no Python: told with the files
    if taken := [name for name in defined if method_registry.is_taken(name)]:
        yield f"{METHOD}={address}: {taken[0]} is a method of verl's or of ours. Rename the function"
    elif not defined:
        lacking = [name for name in asked if not method_registry.is_taken(name)] or list(asked[:1])
        yield (
            f"{METHOD}={address}: no function {lacking[0]} in it. Name one of it: algo={address}:FUNCTION, or as "
            "algorithm.adv_estimator in a file ./conf/algo/NAME.yaml"
        )
    elif (CONF / "algo" / f"{config.algo.name}.yaml").is_file():
        yield f"algo.name={config.algo.name}: is a method that comes with GAPO Lab. Give it another name"
    label = config.select("algo.label")
    if label is not None and (not isinstance(label, str) or not label.strip()):
        yield f"algo.label={label}: must be a text, what tables call the method"
    for name, found in defined.items():
        wanted = Kind.ESTIMATOR if name == asked[0] else Kind.LOSS
        if found.kind is not wanted:
            first = "rewards" if wanted is Kind.ESTIMATOR else "log_prob"
            yield f"{METHOD}={address}: {name}() is taken as {_WORDS[wanted]}. Its first parameter must be {first}"
        elif said := _signature(found):
            yield f"{METHOD}={address}: {name}() {said}"


def _signature(method: Method) -> str | None:
    """Return why a function cannot be called as methods are; None where it can."""
    given = method_registry.CALLED_WITH[method.kind]
    if method.kind is Kind.LOSS and method.first != given[0]:
        return (
            f"has {method.first or 'nothing'} as its first parameter. Call it rewards, in an estimator "
            "f(rewards, groups), or log_prob, in a loss"
        )
    if method.takes < len(given):
        return f"takes too few parameters. It is called with {', '.join(given)}"
    if method.needs:
        return (
            f"needs {', '.join(method.needs)}, and nothing gives it. Give it a default value, which makes it a setting"
        )
    return None


_WORDS = {Kind.ESTIMATOR: "an estimator", Kind.LOSS: "a loss"}
