"""The look of every figure: Okabe and Ito's colours, told apart with every kind of colour blindness, and
matplotlib's settings."""

from __future__ import annotations

BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY, BLACK = "#6E6E6E", "#000000"

# What --font chooses: matplotlib's own sans serif, or STIX, which looks like Times, as most papers are set.
# Both come with matplotlib, so every machine draws the same.
FONTS = {
    "screen": {},
    "paper": {"font.family": "STIXGeneral", "mathtext.fontset": "stix"},
}

STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.hashsalt": "gapo",
}
