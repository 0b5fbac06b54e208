"""A bar on a terminal, a line now and then in a log, nothing from the other processes."""

from __future__ import annotations

import io
import re
from datetime import datetime

import pytest

from bench.console import Console
from bench.runs import progress
from bench.runs.progress import Display, one_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def display(terminal: bool, loud: bool = True, width: int = 160, times: bool = False) -> tuple[Display, io.StringIO]:
    found, text = Display(loud, times=times), Terminal() if terminal else io.StringIO()
    found.console = Console(file=text, force_terminal=terminal, width=width)
    return found, text


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, text = display(terminal=False)
    with shown.bar("training", 2000) as bar:
        for step in range(1, 41):
            now[0] += 1
            bar.at(step, f"loss {step}")
    lines = text.getvalue().splitlines()
    assert lines == [
        "training: 16 of 2,000, about 33:04 left  loss 16",
        "training: 32 of 2,000, about 32:48 left  loss 32",
    ]


def test_a_resumed_run_is_not_credited_with_what_was_done_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, text = display(terminal=False)
    with shown.bar("training", 2000) as bar:
        for step in range(1001, 1021):
            now[0] += 1
            bar.at(step)
    assert text.getvalue() == "training: 1,016 of 2,000, about 16:24 left\n"


def test_what_comes_before_the_first_step_is_not_counted_as_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading took 100 seconds, a step takes one: after it there is no speed yet, then the right one."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, text = display(terminal=False)
    with shown.bar("training", 1000) as bar:
        for step in range(1, 18):
            now[0] = 100.0 + step
            bar.at(step)
    assert text.getvalue().splitlines() == ["training: 1 of 1,000", "training: 17 of 1,000, about 16:23 left"]


def test_another_total_is_another_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, text = display(terminal=False)
    with shown.bar("identifiers", 1) as bar:
        for total, seconds in ((100, 0.1), (20, 8.0)):
            bar.total = total
            for step in range(1, 6):
                now[0] += seconds
                bar.at(step)
    assert text.getvalue().splitlines() == [
        "identifiers: 2 of 20, about 2:24 left",
        "identifiers: 4 of 20, about 2:08 left",
    ]


def test_a_bar_on_a_terminal_forgets_loading_and_earlier_runs() -> None:
    shown, _ = display(terminal=True)
    now = [0.0]
    with shown.bar("training", 1) as bar:
        assert shown.progress is not None
        shown.progress.get_time = lambda: now[0]
        task = shown.progress.tasks[0]
        task._get_time = lambda: now[0]
        bar.total, now[0] = 1000, 100.0
        bar.at(500)
        assert task.time_remaining is None
        for step in range(501, 511):
            now[0] += 1
            bar.at(step)
        assert (task.elapsed, task.time_remaining) == (10, 490)


def test_steps_add_up_and_never_exceed_the_total() -> None:
    shown, _ = display(terminal=False)
    with shown.bar("test", 10) as bar:
        for _ in range(3):
            bar.advance(4)
        assert bar.done == 10


def test_a_terminal_gets_a_bar_of_the_true_total() -> None:
    """The total of a training is known with its first report only."""
    shown, text = display(terminal=True)
    with shown.bar("training", 1) as bar:
        bar.total = 400
        bar.at(100, "loss 2.5")
        assert shown.progress is not None
        task = shown.progress.tasks[0]
        assert (task.completed, task.total, task.percentage) == (100, 400, 25)
        shown.progress.refresh()
        bar.at(120)
        assert task.fields["note"] == "loss 2.5"  # stays until there is another
    assert "100/400" in text.getvalue()
    assert shown.progress is None


def test_only_one_process_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY", -1.0)
    for loud, terminal in ((True, False), (False, False), (False, True)):
        shown, text = display(terminal, loud)
        shown.say("note [bold]as it stands[/bold]")
        with shown.bar("test", 3) as bar:
            bar.advance()
        assert bool(text.getvalue()) == loud
        assert not loud or "[bold]as it stands[/bold]" in text.getvalue()


def test_who_asks_is_told_how_far_it_is_and_may_stop_it() -> None:
    """A worker among several says nothing by itself."""
    shown, text = Display(ticking=False), io.StringIO()
    shown.console = Console(file=text)
    with shown.bar("numeric on toy: train", 1200) as bar:
        bar.at(7)
        assert shown.position == "numeric on toy: train: 7 of 1,200"

        def stop() -> None:
            raise InterruptedError

        shown.check = stop
        with pytest.raises(InterruptedError):
            bar.advance()
    assert text.getvalue() == ""


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.9, "0:59"), (3599, "59:59"), (3661, "1:01:01")])
def test_hours_are_shown_where_there_are_any(seconds: float, shown: str) -> None:
    assert progress.minutes(seconds) == shown


LONG = "a/" + "very-" * 30 + "long name (published, but epochs) on toys+beauty+sports, seed 12: fine-tuning"


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_a_bar_has_two_lines_however_long_names_are_and_says_what_is_done(width: int) -> None:
    shown, text = display(terminal=True, width=width)
    with shown.bar(LONG, 1_000_000) as bar:
        bar.at(123_456, "epoch 3  loss 2.1234  ndcg@10 0.0123")
        assert shown.progress is not None
        shown.progress.refresh()
    frames = re.split(r"\x1b\[[0-9;?]*[A-GJ-Zsuhl]", text.getvalue())  # moves of the cursor, and not colors
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for frame in frames for line in frame.strip("\r\n").split("\n")]
    assert max(map(len, lines)) <= width
    assert max(frame.strip("\r\n").count("\n") for frame in frames) == 1
    assert any(line.rstrip().endswith("fine-tuning") for line in lines)
    assert any("123456/1000000" in line for line in lines) or width < 80
    assert any("ndcg@10 0.0123" in line for line in lines) or width < 100


@pytest.mark.parametrize("width", range(1, 30))
def test_a_text_is_cut_in_its_middle(width: int) -> None:
    found = one_line("0123456789\x1bABCDEFGHIJ", width)
    assert len(found) == min(width, 21)
    assert "\x1b" not in found
    head, _, tail = found.partition("\N{HORIZONTAL ELLIPSIS}")
    assert "0123456789 ABCDEFGHIJ".startswith(head)
    assert "0123456789 ABCDEFGHIJ".endswith(tail)
    assert abs(len(head) - len(tail)) <= 1 or width >= 21


def test_lines_of_a_log_may_begin_with_their_time() -> None:
    shown, text = display(terminal=False, times=True)
    before = datetime.now().replace(microsecond=0)
    shown.say("finished")
    assert text.getvalue().endswith(" finished\n")
    assert before <= datetime.fromisoformat(text.getvalue().removesuffix(" finished\n")) <= datetime.now()
