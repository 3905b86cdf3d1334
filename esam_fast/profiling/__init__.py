"""Times of every stage over repeated runs: measured, summed, compared, and shown as a table, a page and a trace."""

from __future__ import annotations

from esam_fast.profiling.measuring import Profile as Profile
from esam_fast.profiling.measuring import measure as measure
from esam_fast.profiling.measuring import trace as trace
from esam_fast.profiling.page import page as page
from esam_fast.profiling.summary import check_comparable as check_comparable
from esam_fast.profiling.summary import compare as compare
from esam_fast.profiling.summary import report as report
from esam_fast.profiling.text import table as table
