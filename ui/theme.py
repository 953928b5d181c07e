"""How the page looks: a quiet theme on Gradio's own variables, and the little CSS that they do not cover."""

from __future__ import annotations

import gradio as gr

from ui.parts.values import Options
from ui.static import style, styles

# Ink and paper with one accent; pictures are the only other colour on the page.
PINE = gr.themes.Color(
    name="pine",
    c50="#eefaf6", c100="#d5f2e8", c200="#aee4d3", c300="#79cfb8", c400="#45b399", c500="#24967e",
    c600="#187866", c700="#176053", c800="#164d44", c900="#154039", c950="#072521",
)  # fmt: skip
PAPER = gr.themes.Color(
    name="paper",
    c50="#fafaf8", c100="#f3f3f0", c200="#e5e5e0", c300="#d2d2cb", c400="#a3a39b", c500="#686861",
    c600="#55554f", c700="#3d3d39", c800="#262624", c900="#1a1a19", c950="#111110",
)  # fmt: skip
# One colour per column; readers who cannot see red or green can tell them apart (Okabe and Ito 2008, darkened).
COLUMN_COLOURS = ("#0f8a6d", "#c2571a", "#3f78c4", "#a8549a", "#b58900", "#4a9dc9", "#8a6d3b", "#7a7a7a")

# Variable -> (light, dark); None: the variable has one value for both.
SURFACES: dict[str, tuple[str, str | None]] = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "body_text_color": ("*neutral_800", None),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "link_text_color": ("*primary_700", "*primary_300"),
    "background_fill_primary": ("white", "*neutral_900"),
    "background_fill_secondary": ("*neutral_50", "*neutral_950"),
    "border_color_primary": ("*neutral_200", "*neutral_800"),
    "block_background_fill": ("white", "*neutral_900"),
    "block_border_width": ("1px", None),
    "block_border_color": ("*neutral_200", "*neutral_800"),
    "block_label_background_fill": ("*block_background_fill", "*block_background_fill"),  # readable over a picture
    "block_label_border_width": ("0px", None),
    "block_label_text_color": ("*neutral_500", "*neutral_400"),
    "block_title_text_weight": ("600", None),
    "block_title_text_color": ("*neutral_700", "*neutral_200"),
    "block_info_text_color": ("*neutral_500", "*neutral_400"),
    "block_shadow": ("none", None),
}
CONTROLS: dict[str, tuple[str, str | None]] = {
    "input_background_fill": ("*neutral_50", "*neutral_800"),
    "input_placeholder_color": ("*neutral_500", "*neutral_400"),
    "input_border_color": ("*neutral_200", "*neutral_700"),
    "button_primary_background_fill": ("*primary_600", "*primary_600"),
    "button_primary_background_fill_hover": ("*primary_700", "*primary_700"),
    "button_primary_text_color": ("white", None),
    "button_secondary_background_fill": ("white", "*neutral_800"),
    "button_secondary_background_fill_hover": ("*neutral_100", "*neutral_700"),
    "button_secondary_border_color": ("*neutral_300", "*neutral_700"),
    "button_border_width": ("1px", None),
    "button_large_radius": ("*radius_md", None),
    "button_medium_radius": ("*radius_md", None),
    "button_small_radius": ("*radius_md", None),
    "checkbox_border_color": ("*neutral_500", "*neutral_400"),
    "checkbox_label_background_fill": ("*neutral_50", "*neutral_800"),
    "checkbox_label_background_fill_selected": ("*primary_50", "*primary_950"),
    "checkbox_label_border_color": ("*neutral_200", "*neutral_700"),
    "checkbox_label_border_color_selected": ("*primary_500", None),
    "checkbox_label_text_color_selected": ("*primary_800", "*primary_100"),
    "slider_color": ("*primary_600", "*primary_500"),
}

# Shared rules come first and those for phones last, which override the others. A tab adds a file of its own.
FIRST, LAST = ("page", "framing", "results", "methods"), ("phone",)
SHEETS = (*FIRST, *(name for name in styles() if name not in FIRST + LAST), *LAST)
CSS = "\n".join(style(name) for name in SHEETS)


def theme() -> gr.themes.Base:
    """The page's theme, light and dark."""
    # Regular and bold only: the semibold files that come with Gradio 6.31 lack the Latin letters.
    sans = gr.themes.utils.fonts.LocalFont("IBM Plex Sans", weights=(400, 700))
    base = gr.themes.Base(
        primary_hue=PINE,
        secondary_hue=PINE,
        neutral_hue=PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        font=(sans, "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )
    values: Options = {}
    for name, (light, dark) in {**SURFACES, **CONTROLS}.items():
        values[name] = light
        if dark is not None:
            values[f"{name}_dark"] = dark
    return base.set(**values)


# Style sheets do not reach the footer. On a phone, Gradio hides its first link, but not the dot after it.
FOOTER = "<style>@media (max-width: 640px) { footer > .divider { display: none; } }</style>"
