"""Splitting overlaps between object masks by a vote of the gallery's points (EMR, Sec. 3.3)."""

from __future__ import annotations

import numpy as np

from esam_fast._arrays import Floats, Int64s, Masks, Words
from esam_fast._numba._bits import lowest_bit
from esam_fast._numba._jit import jit
from esam_fast._numba._rules import intersection, iou, word_range


@jit
def _by_pixel(point_pixel: Int64s, point_guide: Int64s, pixels: int) -> tuple[Int64s, Int64s, Words]:
    """Votes at pixel i are votes[start[i]:start[i + 1]]; bit i of the last array: there are some."""
    start = np.zeros(pixels + 2, np.int64)
    voted = np.zeros((pixels + 63) // 64, np.uint64)
    for i in range(point_guide.size):
        if point_guide[i] >= 0:
            pixel = point_pixel[i]
            start[pixel + 2] += 1
            voted[pixel >> 6] |= np.uint64(1) << np.uint64(pixel & 63)
    for pixel in range(pixels + 1):
        start[pixel + 1] += start[pixel]
    votes = np.empty(start[pixels + 1], np.int64)
    for i in range(point_guide.size):
        if point_guide[i] >= 0:
            after = point_pixel[i] + 1
            votes[start[after]] = point_guide[i]
            start[after] += 1
    return start, votes, voted


@jit
def _collect(p: Words, q: Words, first: int, start: Int64s, votes: Int64s, voted: Words, ballots: Int64s) -> int:
    """Copy the votes in p & q, whose words begin at word `first` of the grid, to `ballots`; how many."""
    count = 0
    for k in range(p.size):
        word = p[k] & q[k] & voted[first + k]
        while word != 0:
            pixel = (first + k) * 64 + lowest_bit(word)
            word &= word - np.uint64(1)
            for at in range(start[pixel], start[pixel + 1]):
                ballots[count] = votes[at]
                count += 1
    return count


@jit
def _winner(ballots: Int64s, tally: Int64s, scores: Floats) -> int:
    """The guide with most ballots (ties: higher score, then lower index); `tally` stays all 0."""
    for guide in ballots:
        tally[guide] += 1
    best = int(ballots[0])
    for guide in ballots:
        if tally[guide] != tally[best]:
            better = tally[guide] > tally[best]
        elif scores[guide] != scores[best]:
            better = scores[guide] > scores[best]
        else:
            better = guide < best
        if better:
            best = int(guide)
    for guide in ballots:
        tally[guide] = 0
    return best


@jit
def split_overlaps(
    masks: Masks,
    order: Int64s,
    point_pixel: Int64s,  # [P]
    point_guide: Int64s,  # [P], -1: no vote
    scores: Floats,  # [N]
    guides: Masks,
    guide_scores: Floats,  # [G]
    delta: float,
    score_margin: float,
    words: Words,  # [N, W], of the masks afterwards
) -> None:
    """Give each overlap to one of its two masks, pair by pair in `order`, until all are disjoint."""
    given, given_area, box, h, w = masks  # the boxes may become larger than the masks
    words[:] = given
    area = given_area.copy()
    guide_words, guide_area, guide_box, _, _ = guides
    start, votes, voted = _by_pixel(point_pixel, point_guide, h * w)
    ballots = np.empty(votes.size, np.int64)
    tally = np.zeros(guide_area.size, np.int64)
    for a in range(order.size):
        for b in range(a + 1, order.size):
            p, q = order[a], order[b]
            shared = intersection(words[p], box[p], words[q], box[q], w)
            if shared == 0:
                continue
            first, last = word_range(box[p], box[q], w)
            p_part, q_part = words[p, first:last], words[q, first:last]
            outranks = np.float64(scores[p]) - np.float64(scores[q]) > score_margin
            count = 0
            if not outranks and shared / max(area[p], area[q]) >= delta:
                count = _collect(p_part, q_part, first, start, votes, voted, ballots)
            if outranks:
                p_loses = False
            elif count == 0:
                p_loses = area[p] > area[q]
            else:
                g = _winner(ballots[:count], tally, guide_scores)
                guide, g_area, g_box = guide_words[g], guide_area[g], guide_box[g]
                p_iou = iou(intersection(words[p], box[p], guide, g_box, w), area[p], g_area)
                q_iou = iou(intersection(words[q], box[q], guide, g_box, w), area[q], g_area)
                p_loses = q_iou > p_iou
            loser, owner = (p_part, q_part) if p_loses else (q_part, p_part)
            for k in range(loser.size):
                loser[k] &= ~owner[k]
            area[p if p_loses else q] -= shared
