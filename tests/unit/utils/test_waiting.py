"""Waiting is told from working."""

from __future__ import annotations

import time

from gapo_lab.utils.waiting import waited


def test_sleep_is_waiting_and_work_is_not() -> None:
    before = waited()
    time.sleep(0.05)
    slept = waited() - before
    before, until = waited(), time.thread_time() + 0.1
    while time.thread_time() < until:  # however busy the machine is: time in line for a processor is no waiting
        pass
    assert slept > 0.04 and waited() - before < 0.04
