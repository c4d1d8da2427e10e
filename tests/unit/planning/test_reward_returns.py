"""Which numbers a reward's text says that it returns: all of them for sure, or nothing."""

from __future__ import annotations

import pytest

from gapo_lab.planning.reward_returns import returned

HEAD = "def f(data_source, solution_str, ground_truth, extra_info=None):\n"


def of(body: str, more: str = "", head: str = HEAD) -> tuple[str, ...] | None:
    return returned(head + "".join(f"    {line}\n" for line in body.splitlines()) + more, "f")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ('return {"score": right, "acc": 1, "note": "a text", "said": f"{right}"}', ("score", "acc")),
        ("return 1.0", ("score", "acc")),
        ("return float(answer == truth)", ("score", "acc")),
        ("return 1.0 if answer == truth else -0.5", ("score", "acc")),
        ("right = len(answer) / 3\nprint(right)\nreturn right", ("score", "acc")),
        ('if not answer:\n    return {"score": 0.0}\nreturn {"score": 1.0, "words": 2}', ("score", "words")),
        (
            'out = {"score": 1.0}\nout["words"] = 3\nout.update(acc=1, **{"em": 0})\nreturn out',
            ("score", "words", "acc", "em"),
        ),
        ('out: dict = dict(score=1.0)\nout |= {"em": 1}\nreturn out', ("score", "em")),
        (
            'try:\n    out = {"score": g(x)}\nexcept ValueError:\n    out = {"score": 0, "failed": 1}\nreturn out',
            ("score", "failed"),
        ),
        ('out = {"score": 1.0}\nif out["score"] > 0.5:\n    print(f"{out}", out.get("em"))\nreturn out', ("score",)),
        ('found = {"em": 1}\nreturn {"score": 1, **found}', ("score", "em")),
        ('return {"score": 1} | ({"em": 1} if a else {"acc": 1})', ("score", "em", "acc")),
    ],
)
def test_names_that_stand_in_the_text(body, names):
    assert of(body) == names


def test_names_from_another_function_of_the_file():
    helper = 'def help(answer):\n    return dict(em=1)\n\nasync def later():\n    return {"acc": 1}\n'
    assert of("return help(solution_str)", helper) == ("em",)
    assert of('return {"score": 1, **help(1)}', helper) == ("score", "em")
    assert of("return await later()", helper, head=f"async {HEAD}") == ("acc",)


@pytest.mark.parametrize(
    "body",
    [
        "return module.score(solution_str)",
        "return elsewhere(solution_str)",
        "return f(solution_str)",
        "return {name: 1.0 for name in names}",
        'return {"score": 1.0, name: 2}',
        'return {"score": 1.0, **extra_info}',
        "return extra_info",
        'out = {"score": 1.0}\nfill(out)\nreturn out',
        'out = {"score": 1.0}\nother = out\nother["em"] = 1\nreturn out',
        'out = {"score": 1.0}\nother = out or {}\nother["em"] = 1\nreturn out',
        'a = b = {"score": 1}\nb["em"] = 1\nreturn a',
        'out = {"score": 1}\nout[name] = 2\nreturn out',
        'out = {"score": 1}\nout.setdefault("em", 2)\nreturn out',
        'out = {}\ndef add():\n    out["em"] = 1\nadd()\nreturn out',
        "with made() as out:\n    pass\nreturn out",
        'for out in [{"score": 1}]:\n    pass\nreturn out',
        'out, other = {"score": 1}, 2\nreturn out',
        "a = Counter()\nreturn a + b",
        "a = b\nb = a\nreturn a",
        "pass",
    ],
)
def test_what_the_text_does_not_say(body):
    assert of(body) is None


def test_a_decorator_may_return_anything():
    assert of('return {"score": 1}', head=f"@more\n{HEAD}") is None
    assert returned("from elsewhere import f\n", "f") is None
