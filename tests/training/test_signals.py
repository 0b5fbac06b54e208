"""Ctrl-C and SIGTERM never cut a step in two, and end everything else at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from bench.training.signals import deferred_interrupts, interrupted_by_sigterm

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def test_a_second_signal_is_obeyed_at_once_and_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with deferred_interrupts() as asked:
        assert not asked
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_sigterm_interrupts_outside_of_steps_and_waits_within_them() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with interrupted_by_sigterm():
        with deferred_interrupts() as asked:
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_other_threads_leave_signals_alone() -> None:
    before, entered = [signal.getsignal(number) for number in NUMBERS], []

    def work() -> None:
        with interrupted_by_sigterm(), deferred_interrupts() as asked:
            entered.append(list(asked))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [[]]
    assert [signal.getsignal(number) for number in NUMBERS] == before
