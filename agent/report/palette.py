"""The colors of a report by their role, in a light and in a dark theme.

The series differ in hue and in lightness, so that readers with a color vision deficiency and gray prints distinguish
them; each has a contrast of 3 to 1 or more with the background.
"""

from __future__ import annotations

SERIES = ("blue", "orange", "green", "purple", "red", "teal", "brown", "pink")
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1a2330",
    "muted": "#566274",
    "grid": "#dfe4ea",
    "idle": "#c9d2dd",
    "busy": "#cfe3fb",
    "blue": "#1f66c9",
    "orange": "#c2600c",
    "green": "#1d8348",
    "purple": "#7d4bc4",
    "red": "#c0352f",
    "teal": "#0e7f8c",
    "brown": "#8a5a2b",
    "pink": "#bf3f86",
}
DARK = {
    "paper": "#12171f",
    "ink": "#e6ebf2",
    "muted": "#a3afbf",
    "grid": "#2c3644",
    "idle": "#3a4657",
    "busy": "#1f3c63",
    "blue": "#6aa9ff",
    "orange": "#f39a4a",
    "green": "#5cc98b",
    "purple": "#b794f6",
    "red": "#ff7f78",
    "teal": "#4fc3cf",
    "brown": "#d0a274",
    "pink": "#f08fc0",
}


def declarations(colors: dict[str, str]) -> str:
    """Return the colors as declarations of CSS variables."""
    return " ".join(f"--{role}: {color};" for role, color in colors.items())
