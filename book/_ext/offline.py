"""Sphinx extension: MathJax from this site instead of from a CDN, and no script loaded twice."""

import importlib.util
from pathlib import Path

from sphinx.util.fileutil import copy_asset

SCRIPT = "tex-chtml-full.js"  # the plain one leaves all maths raw if a single extension is missing
FONTS = "output/chtml/fonts/woff-v2"


def copy_mathjax(app, exception):
    """Put the one script and its fonts into the built site."""
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    if exception is None and app.builder.format == "html":
        copy_asset(source / SCRIPT, target)
        copy_asset(source / FONTS, target / FONTS)


def drop_repeated_scripts(app, page, template, context, doctree):
    """Keep the first of equal script tags: two of the stock theme's extensions add theirs twice, and the browser complains."""
    unique = {(script.filename or "", str(script.attributes)): script for script in reversed(context["script_files"])}
    context["script_files"] = list(reversed(unique.values()))


def setup(app):
    """Register with Sphinx."""
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.connect("html-page-context", drop_repeated_scripts, priority=900)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True}
