"""How training sequences are cut into segments that are read once each, and segments into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.contract import Contract
from bench.model.packed import SPAN, Segments, SharedReader
from bench.training.examples import Examples, Rows


@dataclass(frozen=True, eq=False)
class Cuts:
    """Segment ``s`` reads the items ``starts[s]`` to ``stops[s]`` (not included) of ``examples.sequences``, and its
    targets are ``examples`` from ``begins[s]`` to ``ends[s]`` (not included), which are in order of position.

    Example ``e`` is shown items from ``shown[e]`` on. ``variants`` and ``prompts`` are those of the segments.
    """

    examples: Examples
    starts: Rows
    stops: Rows
    begins: Rows
    ends: Rows
    shown: Rows
    variants: Rows
    prompts: Rows

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def targets(self) -> Rows:
        """How many targets each segment has."""
        return self.ends - self.begins

    def segments(self, rows: Rows) -> Segments:
        """These segments as a recommender reads them."""
        examples, user_rows = self.examples, self.examples.sequences.user_rows
        counts, starts = self.targets[rows], self.starts[rows]
        owners = np.repeat(np.arange(len(rows)), counts)
        each = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts) + self.begins[rows][owners]
        whose = None if user_rows is None else user_rows[examples.rows(starts)]
        return Segments(
            examples.sequences.slice(starts, self.stops[rows], whose),
            examples.items(each),
            owners,
            first=self.shown[each] - starts[owners] + 1,
            last=examples.targets[each] - starts[owners],
            variants=self.variants[rows],
            prompts=self.prompts[rows],
        )


def cut(recommender: SharedReader, examples: Examples, contract: Contract, variants: Rows, prompts: Rows) -> Cuts:
    """The examples by user, oldest first, as many in a segment as fit.

    A segment begins with the oldest item that its first target is shown. It is at most ``SPAN`` times ``max_history``
    items long, no longer than the encoder reads, and has no more targets than a batch. ``variants`` and ``prompts [rows
    of the sequences]`` are those of the users.
    """
    order = np.argsort(examples.targets, kind="stable")
    examples = Examples(examples.sequences, examples.starts[order], examples.targets[order])
    sequences, rows = examples.sequences, examples.rows(examples.targets)
    each = np.repeat(variants, sequences.lengths)
    ends = np.concatenate([[0], np.cumsum(recommender.item_lengths(sequences.values, each))])
    room = recommender.room(sequences, prompts)
    shown = np.searchsorted(ends, ends[examples.targets] - room[rows], side="left")
    shown = np.minimum(np.maximum(shown, examples.starts), examples.targets)
    longest, most = SPAN * contract.max_history, contract.batch_size
    begins, stops = _runs(examples.targets, shown, rows, ends, room, longest, most)
    return Cuts(
        examples,
        shown[begins],
        examples.targets[stops - 1],
        begins,
        stops,
        shown,
        variants[rows[begins]],
        prompts[rows[begins]],
    )


def _runs(targets: Rows, shown: Rows, rows: Rows, ends: Rows, room: Rows, longest: int, most: int) -> tuple[Rows, Rows]:
    """First and last (not included) example of every segment: the next segment of all users at once, until all are
    done. A segment has at most ``longest`` items and ``most`` targets. ``ends [n + 1]`` are the encoder positions
    before each of the n items of all users, ``room`` those that each user has.
    """
    users, first, counts = np.unique(rows, return_index=True, return_counts=True)
    begin, behind, found = first, first + counts, list[tuple[Rows, Rows]]()
    left = room[users]
    while len(begin):
        start = shown[begin]
        # all items before this one fit; it may itself be a target, which is not read
        limit = np.minimum(start + longest, np.searchsorted(ends, ends[start] + left, side="right") - 1)
        stop = np.searchsorted(targets, limit, side="right")
        stop = np.clip(stop, begin + 1, np.minimum(behind, begin + most))
        found.append((begin, stop))
        going = stop < behind
        begin, behind, left = stop[going], behind[going], left[going]
    begins, stops = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(begins)
    return begins[order], stops[order]


def batches_of_targets(targets: Rows, batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Rows of every batch of an epoch, whole segments in random order. There are as many batches as ``batch_size``
    targets each would make, and none differs from their mean by more than the targets of one segment.
    """
    generator = np.random.default_rng([seed, epoch, 1])
    order = generator.permutation(len(targets))
    ends = np.cumsum(targets[order])
    count = -(-int(ends[-1]) // batch_size)
    middles = ends - targets[order] / 2
    bounds = np.searchsorted(middles, ends[-1] * np.arange(1, count) / count)  # where each batch but the first begins
    # No batch is empty: each begins at least one segment behind the one before, and leaves one for each that follows.
    number = np.arange(count - 1)
    bounds = np.maximum.accumulate(np.maximum(bounds, 1) - number) + number
    return list(np.split(order, np.minimum(bounds, len(order) - count + 1 + number)))
