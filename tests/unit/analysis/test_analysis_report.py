"""The command: what it writes, what it refuses, and a tracking server in place of the file."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pyarrow.parquet as pq
import pypdfium2
import pytest
from analysis_database import Database
from lab import REPO
from PIL import Image, ImageOps

from analysis import report
from analysis.render import table_images
from analysis.results.runs import select
from analysis.sources import connect
from gapo_lab.tracking import uri as addresses

NASTY = '50% <b>&_{x}$ #1^ \\ "q" 中'


def trials(study="s", model="nano", algos=("grpo", "gapo_grpo"), seeds=3, **words) -> list[dict]:
    return [
        {
            "study": study,
            "model": model,
            "algo": algo,
            "seed": seed,
            "rollouts": 8,
            "tau": tau,
            "points": {
                "val/id/em": {0: 0.25, 10: 0.5 + seed / 64 + 0.1 * (tau is not None), 20: 0.5},
                "val/ood/em": {0: 0.125, 20: 0.25},
                "actor/pg_clipfrac": {1: 0.01, 2: 0.02},
                "perf/throughput": {1: 100.0},
            },
        }
        | words
        for algo in algos
        for seed in range(seeds)
        for tau in ((0.1, 0.5) if algo.startswith("gapo") else (None,))
    ]


@pytest.fixture
def database(empty_mlflow, tmp_path, monkeypatch) -> Database:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(addresses.VARIABLE, raising=False)
    return Database(empty_mlflow, tmp_path / "mlflow.db")


def failed(capsys, *words: str) -> str:
    assert report.main([*words, "--no-log"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("analysis: ") and "Traceback" not in text
    return text


@pytest.mark.slow
def test_everything_is_written_and_twice_the_same(database, tmp_path, capsys):
    database.add(trials())
    assert report.main(["s", "--no-log", "--spread"]) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "reports" / "s"
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    for name in ("table2", "table4", "statistics_id", "comparisons_id"):
        assert f"{name}.tex" in files and f"{name}.csv" in files
    for name in ("figure3_grpo", "figure4_grpo", "figure5_grpo", "figure6_grpo", "figure7_grpo"):
        assert files[f"{name}.pdf"].startswith(b"%PDF") and files[f"{name}.png"].startswith(b"\x89PNG")
    assert ("report.pdf" in files) == ("table2.pdf" in files) == bool(shutil.which("pdflatex"))
    if "table2.pdf" in files:
        image = Image.open(folder / "table2.png")
        page = pypdfium2.PdfDocument(files["table2.pdf"])
        assert len(page) == 1 and "GAPO (G)" in page[0].get_textpage().get_text_bounded()
        # Both are as large as the table, and hold it all: nothing but white at the edge.
        assert page[0].get_width() == pytest.approx(image.width * 72 / table_images.DPI, abs=1)
        assert set(ImageOps.crop(image, 4).getextrema()) == {0, 255} and image.width < 1200
        edges = [image.crop((0, 0, image.width, 8)), image.crop((0, image.height - 8, *image.size))]
        assert all(edge.getextrema() == (255, 255) for edge in edges)
    assert "GAPO (G)" in out and "not the usual tau=0.5" not in out and "tau_id.csv" in files
    assert report.main(["s", "--no-log", "--spread"]) == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files


def test_named_test_sets_have_their_columns_by_the_measure_that_was_asked_for(database, tmp_path, capsys):
    last = {"id": 0.5, "aime": 0.25, "amc": 0.125}
    points = {f"val/{name}/acc": {0: 0.0, 20: value} for name, value in last.items()}
    database.add(trials(points=points | {f"best/{name}/acc": {20: value} for name, value in last.items()}))
    assert report.main(["s", "--no-log", "--no-figures"]) == 0
    said = capsys.readouterr().out
    for title, value in (("on the ID test set", "50.00"), ("on aime", "25.00"), ("on amc", "12.50")):
        table = said[said.index(f"acc (%) {title}") :].partition("\n\n")[2].partition("\n\n")[0]
        assert value in table, said
    assert (tmp_path / "reports" / "s" / "table_aime.csv").is_file() and "OOD" not in said


def test_what_changes_keeps_its_predecessor(database, tmp_path, capsys):
    database.add(trials())
    report.main(["s", "--no-log", "--no-figures"])
    before = (tmp_path / "reports/s/table2.tex").read_text()
    database.add([one | {"algo": "dapo"} for one in trials(algos=("grpo",))])
    capsys.readouterr()
    report.main(["s", "--no-log", "--no-figures"])
    kept = list((tmp_path / "reports/s/previous").rglob("table2.tex"))
    assert [p.read_text() for p in kept] == [before]
    assert "kept in" in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_needs_nothing_else_and_escapes_names(database, tmp_path, capsys):
    database.add(trials(model=NASTY, algos=("grpo", "a_new_<method>")))
    assert report.main(["s", "--no-log", "--against", "paper"]) == 0
    said = capsys.readouterr().out
    assert "a_new_<method>" in said and "layout" not in said and "share no model" in said
    page = (tmp_path / "reports/s/report.html").read_text()
    assert "<b>&" not in page and "&lt;b&gt;&amp;" in page and "a_new_&lt;method&gt;" in page
    assert 'src="http' not in page and "<link" not in page and "<script" not in page
    if shutil.which("pdflatex"):
        assert (tmp_path / "reports/s/report.pdf").exists()


def test_without_latex_the_tex_files_come_and_one_line_says_what_to_install(database, tmp_path, capsys, monkeypatch):
    database.add(trials())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report.main(["s", "--no-log", "--no-figures"]) == 0
    out = capsys.readouterr().out
    assert sum("texlive-latex-recommended" in line for line in out.splitlines()) == 1
    assert (tmp_path / "reports/s/table2.tex").exists() and (tmp_path / "reports/s/report.tex").exists()


def test_a_slice_and_the_long_form(database, tmp_path):
    ids = database.add(trials())
    words = [
        "s",
        "--no-log",
        "--rows",
        "algo,tau",
        "--cols",
        "model",
        "--metric",
        "val/ood/em",
        "--pick",
        "final",
    ]
    assert report.main(words) == 0
    (path,) = (tmp_path / "reports/s").glob("slice_*.csv")
    rows = [row[:2] for row in csv.reader(path.open())]
    assert rows[2:] == [
        ["GRPO", "25.00"],
        ["GAPO (G) τ=0.1 (k=1)", "25.00"],
        ["GAPO (G) τ=0.5 (k=4)", "25.00"],
    ]
    tidy = list(csv.DictReader((tmp_path / "reports/s/tidy.csv").open()))
    assert len(tidy) == len(ids) and {row["metric"] for row in tidy} == {"val/ood/em"}
    long = pq.read_table(tmp_path / "reports/s/tidy.parquet").to_pylist()
    assert len(long) == 2 * len(ids) and {row["step"] for row in long} == {0, 20}


def test_the_nearest_study_metric_and_axis_are_named(database, capsys):
    database.add(trials(study="table two"))
    assert "did you mean table two?" in failed(capsys, "table tow")
    assert "did you mean val/ood/em?" in failed(capsys, "table two", "--metric", "val/odd/em")
    assert "did you mean model?" in failed(capsys, "table two", "--cols", "modle")
    assert "model is one of nano" in failed(capsys, "table two", "--where", "model=mano")
    assert "dev, final, best, peak, mean" in failed(capsys, "table two", "--pick", "first")
    assert "--test-cases" in failed(capsys, "table two", "--test-cases", "id=x")
    assert "cannot write " in failed(capsys, "table two", "--no-figures", "--out", str(database.path))
    assert "seed 3 not run" in failed(capsys, "table two", "--seeds", "5", "--where", "algo=grpo")


def test_nothing_to_show_is_said_in_one_line(database, tmp_path, capsys):
    assert "there are" in failed(capsys, "s")
    database.study("s")
    assert "no runs yet" in failed(capsys, "s")
    database.add(trials(status="RUNNING"))
    assert "still running" in failed(capsys, "s")
    assert "sync" in failed(capsys, "s", "--uri", f"sqlite:///{tmp_path}/none.db")
    (tmp_path / "text.db").write_text("no database, and long enough to be read as one" * 20)
    assert "cannot be read" in failed(capsys, "s", "--uri", f"sqlite:///{tmp_path}/text.db")
    assert "address" in failed(capsys, "s", "--uri", "file:///tmp/mlruns")
    assert not (tmp_path / "reports").exists()


def test_a_database_of_an_older_mlflow_names_the_upgrade(tmp_path, capsys):
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.execute("CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT)")
        old.execute(
            "CREATE TABLE runs "
            "(run_uuid TEXT, name TEXT, status TEXT, start_time INT, lifecycle_stage TEXT, experiment_id INT)"
        )
        old.execute("CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT)")
        old.execute("CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)")
        old.execute("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
    said = failed(capsys, "s", "--uri", f"sqlite:///{tmp_path}/old.db")
    assert "metrics.is_nan is missing" in said and "mlflow db upgrade" in said


@pytest.fixture
def server(database, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = addresses.ui_command(database.uri, port)
    log = (tmp_path / "server.log").open("w")
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None and time.monotonic() < until, (tmp_path / "server.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        log.close()


@pytest.mark.slow
def test_a_server_gives_what_the_file_gives_and_takes_the_report(database, server, tmp_path, capsys):
    odd = {
        "val/id/em": [
            (0, 0.25, 1),
            (10, 0.9, 2),
            (10, 0.5, 9),
            (20, float("nan"), 10),
            (30, float("inf"), 11),
        ]
    }
    database.add([*trials(), trials()[0] | {"model": "odd", "points": odd}])
    both = [connect.connect(address) for address in (database.uri, server)]
    there = [source.studies() for source in both]
    assert there[0] == there[1]
    found = [select(source.runs({"s": source.studies()["s"]})) for source in both]
    assert found[0] == found[1] and len(found[0].runs) == 10
    ids = [run.id for run in found[0].runs]
    for metric in ("val/id/em", "actor/pg_clipfrac", "never/logged"):
        curves = [source.curves(ids, metric) for source in both]
        assert {k: (c.steps.tolist(), c.values.tolist()) for k, c in curves[0].items()} == {
            k: (c.steps.tolist(), c.values.tolist()) for k, c in curves[1].items()
        }
    assert "val/id/em" in both[1].metrics(ids)

    words = ["s", "--uri", server, "--no-figures", "--where", "model=nano"]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-m", "analysis.report", *words],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "logged to MLflow: run 'report' of s" in done.stdout, done.stdout + done.stderr
    logged = [run for run in both[0].runs({"s": there[0]["s"]}) if run.tags.get("gapo.is_report")]
    assert [run.name for run in logged] == ["report"] and logged[0].finished
    reply = urllib.request.urlopen(f"{server}/api/2.0/mlflow/artifacts/list?run_id={logged[0].id}").read().decode()
    assert "report.html" in reply and "tables" in reply
    from analysis.report import mlflow_log
    from gapo_lab.tracking import study_page

    reply = urllib.request.urlopen(f"{server}/api/2.0/mlflow/experiments/get?experiment_id={there[0]['s']}").read()
    tags = {tag["key"]: tag["value"] for tag in json.loads(reply)["experiment"]["tags"]}
    assert {study_page.SHARED + study_page.LIST, study_page.SHARED + study_page.CURVES} <= set(tags)
    assert f"runs/{logged[0].id}/artifacts/report.html" in tags[study_page.NOTE]
    again = mlflow_log.log(server, ["s"], tmp_path / "reports/s", [])
    assert again.startswith("logged")  # other files: a new report, the older one stays
    assert mlflow_log.log(server, ["s"], tmp_path / "reports/s", []).startswith("MLflow holds")
    names = sorted(run.name for run in both[0].runs({"s": there[0]["s"]}) if run.tags.get("gapo.is_report"))
    assert names == ["report", "report (earlier)"]
