"""Environment variables that verl, Ray and their libraries read while they are imported: one table for all jobs."""

from __future__ import annotations

from collections.abc import Mapping

# In every job, on any machine.
EVERYWHERE: Mapping[str, str] = {
    "VERL_USE_EXTERNAL_MODULES": "gapo_lab.training.verl_plugin",
    # other clusters of this user cannot talk to this one by mistake
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
    # Ray would start a worker for every booked CPU before any is asked for
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would run its workers behind everything else on the machine
    "RAY_worker_niceness": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Where there is no GPU.
ON_CPU: Mapping[str, str] = {
    # a second thread in every process costs far more than it gives
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "VERL_PLATFORM": "cpu",
    # after so long Ray gives up an object whose place it does not know (ten minutes otherwise): its notice was lost,
    # which happens, rarely, on a busy machine (ray-project/ray issue 23802). `CpuServerAdapter` then sends it again
    "RAY_fetch_fail_timeout_milliseconds": "60000",
}
# For vLLM there: GiB for keys and values; no cores of its own, which another run may have, too.
VLLM_ON_CPU: Mapping[str, str] = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # as verl sets it for its workers, which is too late for forks: vLLM reads it while it is imported
    "VLLM_LOGGING_LEVEL": "WARN",
}
# Of these, what a user's own environment may say otherwise.
USERS_OWN = ("VLLM_CPU_KVCACHE_SPACE", "VLLM_LOGGING_LEVEL")
# The number of the first (and only) job of a fresh Ray cluster.
FIRST_JOB = "01000000"
