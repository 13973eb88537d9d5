"""Sphinx extension: what a page says of itself to search engines and previews, and the buttons that need the project's address."""

import tomllib
from html import escape
from pathlib import Path

from docutils import nodes

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf8"))["project"]
LONGEST = 200


def add_buttons(app, config):
    """Source, issue and Colab buttons, once `[project.urls]` of pyproject.toml holds an address that the project owns."""
    address = PROJECT.get("urls", {}).get("Repository")
    if address:
        buttons = {"repository_url": address, "repository_branch": "main", "use_repository_button": True, "use_issues_button": True}
        config.html_theme_options |= buttons | {"launch_buttons": {"colab_url": "https://colab.research.google.com"}}


def summary(doctree):
    """The first paragraph of a page that is a sentence, cut at a word."""
    paragraphs = (p.astext() for p in doctree.findall(nodes.paragraph) if not isinstance(p.parent, nodes.footnote))
    text = next((" ".join(p.split()) for p in paragraphs if len(p) > 60 and not p.startswith("Reading:")), PROJECT["description"])
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " ..."


def describe(app, page, template, context, doctree):
    """Adds description, title and picture to a page's head; the picture only where the site's address is known."""
    if doctree is None:
        return
    told = {"og:title": context.get("title", ""), "og:description": summary(doctree), "og:type": "article"}
    if app.config.html_baseurl:
        told["og:image"] = app.config.html_baseurl.rstrip("/") + "/_static/learning.png"
    tags = [f'<meta name="description" content="{escape(told["og:description"])}">']
    tags += [f'<meta property="{name}" content="{escape(value)}">' for name, value in told.items()]
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags])


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", add_buttons)
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True}
