"""Settings of Sphinx, which builds the site and the man pages from the folder that docs/make_site.py writes."""

project = "Inferometer"
author = "the Inferometer contributors"
extensions = ["myst_parser"]
myst_heading_anchors = 4
smartquotes = False
nitpicky = True
html_theme = "furo"
html_title = "Inferometer"
html_copy_source = False
html_show_copyright = False
man_pages = [
    ("man-inferometer", "inferometer", "measure what an inference costs on this host", "", 1),
    ("man-inferometerd", "inferometerd", "sample energy sensors, store the samples and export them", "", 8),
]
