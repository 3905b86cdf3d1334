"""A report to be opened in a browser from the disk: a page for a run, and one that compares two results.

A run's folder holds index.html and report/: the page's script and style, index.js with the list of images, times.js
with the seconds that each took, and in report/images three files an image: a picture, a thumbnail, and a script with
the labels. Only times.js differs between two runs that give the same results. Names of images reach the page as JSON
in scripts, and are shown as text, never as HTML.
"""

from __future__ import annotations

from esam_fast.changes import changes as changes
from esam_fast.report.run import Writer as Writer
from esam_fast.report.run import add as add
from esam_fast.report.run import build as build
from esam_fast.report.two import compare as compare
