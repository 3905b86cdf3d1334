"""Sphinx's settings: the Markdown pages of the repository, and the API from the docstrings. See CONTRIBUTING.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import esam_fast

project = "esam_fast"
release = version = esam_fast.__version__
html_theme = "furo"
html_title = f"esam_fast {version}"
html_show_copyright = html_copy_source = False

# The source folder is the root of the repository, so that links between its pages are checked as they stand.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "benchmarks/*.md", "training/*.md"]
exclude_patterns = [".*", "build"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

default_role = "py:obj"  # `name` in a docstring is a link where the name is known
add_module_names = False
autodoc_member_order = "bysource"
autodoc_mock_imports = [
    "hydra", "omegaconf", "pyarrow", "ray", "safetensors", "sam2", "segment_anything", "torch", "torchvision",
]  # fmt: skip
autodoc_typehints_format = "short"
maximum_signature_line_length = 100
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpicky = True  # whatever a docstring names by its path in this package must be on a page
nitpick_ignore_regex = [("py:.*", r"(?!esam_fast\.).*|esam_fast\._.*|esam_fast\.segmenters\.sam\.\w+\.\w+")]


def mathml(writer: Any, node: Any) -> None:
    """Formulas as MathML, which browsers show without a script."""
    writer.body.append(tex2mathml(node.astext(), as_block=node.tagname == "math_block"))
    raise SkipNode


def short_arrays(app: Any, what: str, name: str, obj: Any, options: Any, *signature: str | None) -> tuple[Any, ...]:
    """Array types as the source writes them."""
    array = r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]"
    return tuple(part and re.sub(array, r"~numpy.typing.NDArray[\1]", part) for part in signature)


def one_a_line(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Warn of a parameter that is hidden in the line of another."""
    for line in lines:
        if hidden := re.match(r":(?:param|ivar) .*\. ([a-z]\w*): ", line):
            logging.getLogger(__name__).warning("%s: %s needs a line of its own in the docstring", name, hidden[1])


def complete(app: Any, env: Any) -> None:
    """Warn of a public name that is on no page."""
    for name in set(esam_fast.__all__) - {"__version__"}:
        if f"esam_fast.{name}" not in env.domains["py"].objects:
            logging.getLogger(__name__).warning("docs/api/esam_fast.rst lacks %s", name)


def setup(app: Any) -> None:
    """What Sphinx calls once it has read this file."""
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("autodoc-process-signature", short_arrays)
    app.connect("autodoc-process-docstring", one_a_line, priority=600)  # after napoleon
    app.connect("env-check-consistency", complete)
