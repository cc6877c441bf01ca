"""Sphinx' settings for the course's pages, and the little it lacks: formulas that ask no other host."""

import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "Convolutional networks, every sentence checked"
html_title = "Convolutional networks"
author = copyright = "the course's authors; text and code under the MIT licence"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "image/png", 1), ("html", "text/html", 2)]
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
myst_url_schemes = ["http", "https", "mailto"]
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_typehints = "none"
exclude_patterns = ["_static"]

html_theme = "furo"
html_static_path = [str(Path(__file__).resolve().parent / "_build/source/_static")]
html_css_files, html_js_files = ["pages.css"], ["pages.js", "windows.js"]
html_copy_source = html_show_sphinx = False
html_math_renderer = "mathml"
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]


def _inline(self, node):
    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self, node):
    self.body.append(f"<div class='math' tabindex='0'>{convert(node.astext(), display='block')}</div>")
    raise SkipNode


def _level(app, page, template, context, doctree):
    """The theme's headings in the list of pages, of the level that screen readers ask for."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def _skip(app, what, name, thing, skip, options):
    """The fields of a named tuple are in its signature; that each is an alias says nothing."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("html-page-context", _level, priority=900)
    app.connect("autodoc-skip-member", _skip)
