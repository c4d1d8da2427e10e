import os
import sys
from importlib.util import find_spec

import pytest

from gapo_lab.utils.import_path import follow, hidden


def test_a_hidden_package_is_not_installed_for_the_time_of_the_block(tmp_path, monkeypatch):
    (tmp_path / "here_in_truth.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("here_in_truth", "json"):
        assert find_spec("here_in_truth") is None
        with pytest.raises(ImportError):
            import here_in_truth
        assert sys.modules["json"]  # it is imported already: nothing is taken away
    import here_in_truth  # noqa: F401

    assert sys.modules["json"]


def test_a_fork_imports_from_where_a_new_process_would(tmp_path, monkeypatch):
    before = os.pathsep.join(["/code", "/others"])
    monkeypatch.setattr(sys, "path", ["/first", "/code", "/others", "/library"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), "/code", "/more"]))
    follow(before)
    assert sys.path == [str(tmp_path), "/code", "/more", "/first", "/library"]
