"""How the page looks: a quiet theme on Gradio's own variables, and the little CSS that they do not cover."""

from __future__ import annotations

import gradio as gr

# Ink and paper with one accent; pictures are the only other colour on the page.
PINE = gr.themes.Color(
    name="pine",
    c50="#eefaf6", c100="#d5f2e8", c200="#aee4d3", c300="#79cfb8", c400="#45b399", c500="#24967e",
    c600="#187866", c700="#176053", c800="#164d44", c900="#154039", c950="#072521",
)  # fmt: skip
PAPER = gr.themes.Color(
    name="paper",
    c50="#fafaf8", c100="#f3f3f0", c200="#e5e5e0", c300="#d2d2cb", c400="#a3a39b", c500="#73736c",
    c600="#55554f", c700="#3d3d39", c800="#262624", c900="#1a1a19", c950="#111110",
)  # fmt: skip
# One colour a column, told apart also by readers who do not see red or green (Okabe and Ito 2008, darkened).
COLUMN_COLOURS = ("#0f8a6d", "#c2571a", "#3f78c4", "#a8549a", "#b58900", "#4a9dc9", "#8a6d3b", "#7a7a7a")


def theme() -> gr.themes.Base:
    """The page's theme, light and dark."""
    # Regular and bold only: the semibold files that come with Gradio 6.31 lack the Latin letters.
    sans = gr.themes.utils.fonts.LocalFont("IBM Plex Sans", weights=(400, 700))
    mono = gr.themes.utils.fonts.LocalFont("IBM Plex Mono", weights=(400, 700))
    base = gr.themes.Base(
        primary_hue=PINE,
        secondary_hue=PINE,
        neutral_hue=PAPER,
        radius_size=gr.themes.sizes.radius_lg,
        font=(sans, "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(mono, "ui-monospace", "monospace"),
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_950",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_500",
        block_label_text_color_dark="*neutral_400",
        block_title_text_weight="600",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_color="*neutral_500",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_800",
        input_border_color="*neutral_200",
        input_border_color_dark="*neutral_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_large_radius="*radius_md",
        button_medium_radius="*radius_md",
        button_small_radius="*radius_md",
        checkbox_label_background_fill="*neutral_50",
        checkbox_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_950",
        checkbox_label_border_color="*neutral_200",
        checkbox_label_border_color_dark="*neutral_700",
        checkbox_label_border_color_selected="*primary_500",
        checkbox_label_text_color_selected="*primary_800",
        checkbox_label_text_color_selected_dark="*primary_100",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
    )


CSS = """
.gradio-container { width: 100% !important; max-width: 1600px !important; margin: 0 auto !important; }
.html-container { padding: 0 !important; }
#masthead { padding: 1rem .25rem .1rem; }
#masthead h1 { font-size: 1.75rem; font-weight: 700; letter-spacing: -.02em; margin: 0 0 .25rem; }
#masthead p, .intro p { color: var(--body-text-color-subdued); margin: 0; max-width: 46rem; }
.intro { padding: 0 .25rem; }
.note, .note p { color: var(--body-text-color-subdued); font-size: .86rem; }

.status { display: grid; gap: .5rem; padding: .75rem 1rem; border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); background: var(--block-background-fill); font-variant-numeric: tabular-nums; }
.status.bad { border-color: #c2571a; }
.bar { height: 4px; border-radius: 2px; background: var(--border-color-primary); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 2px; background: var(--slider-color); transition: width .4s; }
.hint { padding: 3rem 1rem; text-align: center; color: var(--body-text-color-subdued); border-radius: var(--radius-lg);
  border: 1px dashed var(--border-color-primary); }
.hint b { color: var(--body-text-color); }

.cards { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(100%, 190px), 1fr));
  align-items: start; }
.given { grid-template-columns: repeat(2, minmax(0, 420px)); }
.given img { width: 100%; height: 100%; object-fit: contain; }
.card { min-width: 0 !important; overflow: hidden; border-radius: var(--radius-lg);
  border: 1px solid var(--border-color-primary) !important;
  background: var(--block-background-fill); gap: 0 !important; }
.hint-box:not(:has(.hint)), .given:not(:has(img)), .given .card:not(:has(img)), .pasted:not(:has(img)),
.part:not(:has(img)), .result:not(:has(.head)), .results:has(.hint) .summary, #edit-box:not(:has(.move)),
#edit-pair-gallery:not(:has(img)) { display: none !important; }
.card .block { border: 0 !important; border-radius: 0; background: transparent; }
.card .card { display: flex; flex-direction: column; border: 0 !important; border-radius: 0; }
.card .card > :last-child { order: 1; }
.card button.sm { order: 2; }
.card button.sm, .put { margin: 0 1rem .9rem; width: auto; flex-grow: 0; }
.put { padding: .35rem .6rem; font-size: .88rem; border-radius: var(--radius-md); width: calc(100% - 2rem) !important;
  border: 1px solid var(--button-secondary-border-color); }
.put:hover { background: var(--button-secondary-background-fill-hover); }
.head { display: flex; align-items: baseline; gap: .5rem; padding: .6rem 1rem; border-top: 3px solid var(--hue); }
.head b { font-size: 1rem; }
.head span { margin-left: auto; font-size: .8rem; color: var(--body-text-color-subdued); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(82px, 1fr)); gap: .1rem .8rem;
  padding: .7rem 1rem .4rem; margin: 0; }
.figures dt { font-size: .74rem; color: var(--body-text-color-subdued); margin: 0; }
.figures dd { margin: 0 0 .3rem; font-weight: 700; font-variant-numeric: tabular-nums; }
.figures p { grid-column: 1 / -1; margin: 0 0 .3rem; font-size: .82rem; color: var(--body-text-color-subdued); }

.plot { padding: .4rem 0 0; }
.plot h3, .results h3 { font-size: .95rem; margin: .2rem .25rem .5rem; }
.plot svg { display: block; width: 100%; height: auto; max-height: 360px; font: 12px var(--font); }
.plot text { fill: var(--body-text-color-subdued); }
.plot text.name { font-weight: 700;
  paint-order: stroke; stroke: var(--body-background-fill); stroke-width: 4px; }
.plot line { stroke: var(--border-color-primary); }
.figure-table { --font-mono: var(--font); }
.method-fields { border-top: 1px solid var(--border-color-primary); padding: .7rem 0 .3rem; }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 150px), 1fr)); gap: .7rem 1rem;
  margin-top: .5rem; }
.field { display: flex; flex-direction: column; gap: .2rem; min-width: 0; font-size: .88rem; }
.field small { color: var(--body-text-color-subdued); font-size: .76rem; line-height: 1.25; }
.field > :last-child { margin-top: auto; }
.field input[type=checkbox] { align-self: start; appearance: auto; accent-color: var(--slider-color); }
.slide { display: grid; grid-template-columns: minmax(0, 1fr) 4.2rem; gap: .5rem; align-items: center; }
.slide input[type=range] { width: 100%; min-width: 0; accent-color: var(--slider-color); }
.field :is(input[type=number], input[type=text], select), .stages select, .move input[type=number] {
  width: 100%; min-width: 0; padding: .25rem .4rem; font-size: .88rem; border-radius: var(--radius-md);
  border: 1px solid var(--input-border-color); background: var(--input-background-fill); color: inherit;
  font-variant-numeric: tabular-nums; }
.field input:out-of-range { border-color: #c2571a; }
.stages { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .6rem; margin: .5rem 0; }
.stages label { display: grid; gap: .2rem; font-size: .88rem; }

.note.bad { color: #c2571a; padding: .7rem 1rem; }
.moves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: .15rem 1.4rem; }
.move { display: grid; grid-template-columns: 7.2rem 1fr 4.2rem 1.6rem; align-items: center; gap: .5rem;
  min-height: 2rem; font-size: .9rem; }
.move span { overflow-wrap: anywhere; line-height: 1.15; }
.move input[type=range] { width: 100%; min-width: 0; accent-color: var(--slider-color); }
.move button { color: var(--body-text-color-subdued); line-height: 1; padding: .3rem 0; }
#edit-box { gap: .8rem; }
#edit-pair-gallery .thumbnail-item { aspect-ratio: auto; height: auto; }
#edit-sliders details { margin-top: .5rem; }
#edit-sliders summary { cursor: pointer; padding: .3rem 0; font-size: .92rem; }
.zero { margin-top: .6rem; padding: .3rem .8rem; font-size: .88rem; border-radius: var(--radius-md);
  border: 1px solid var(--button-secondary-border-color); }
#sketch-map menu.swatch { display: grid; grid-template-columns: repeat(2, 5.4rem) !important; height: auto; }
#sketch-map menu.swatch button { width: 5.4rem; height: 1.9rem; border-radius: var(--radius-md); }
#sketch-map menu.swatch button::after { font-size: .75rem; padding: 0 .3rem; border-radius: 3px; color: #1a1a19;
  background: rgb(255 255 255 / .82); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem .9rem; padding: .2rem .25rem; font-size: .85rem; }
.legend span { display: inline-flex; align-items: center; gap: .35rem; }
.legend i { width: .85rem; height: .85rem; border-radius: 3px; border: 1px solid var(--border-color-primary); }

.models { margin-bottom: .8rem; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); overflow: hidden; }
.models > summary { padding: .7rem 1rem; cursor: pointer; font-weight: 700; }
.model { display: flex; gap: var(--layout-gap); padding: .7rem 1rem; align-items: center;
  border-top: 1px solid var(--border-color-primary); }
.model .what { flex: 1; }
.model button { flex: none; width: 110px; padding: .35rem .3rem; font-size: .88rem; border-radius: var(--radius-md);
  border: 1px solid var(--button-secondary-border-color); }
.model button:hover { background: var(--button-secondary-background-fill-hover); }
.model-tools { justify-content: flex-end; }
.what { display: grid; grid-template-columns: minmax(11rem, 1.2fr) minmax(12rem, 2fr) 13rem;
  gap: .1rem 1.2rem; align-items: baseline; }
.model:not(:has(button)) .what { margin-right: calc(110px + var(--layout-gap)); }
.what b { grid-column: 1; overflow-wrap: anywhere; }
.what span, .what details, .state { color: var(--body-text-color-subdued); font-size: .88rem; }
.what span { grid-row: 1 / span 2; grid-column: 2; }
.what details[open] { grid-column: 1 / -1; }
.what details p { margin: .2rem 0; max-width: 60rem; overflow-wrap: anywhere; }
.state { font-variant-numeric: tabular-nums; }
.state.here { color: var(--slider-color); font-weight: 700; }
.state.bad { color: #c2571a; overflow-wrap: anywhere; }
.state .bar { margin-top: .3rem; }
@media (max-width: 640px) {
  .what span { grid-row: auto; grid-column: auto; }
  .what, .model:not(:has(button)) .what { grid-template-columns: 1fr; margin-right: 0; }
  .gradio-container > .main { padding: .5rem .8rem !important; }
  #masthead h1 { font-size: 1.4rem; }
  .plot svg { font-size: 22px; }
  .move { grid-template-columns: 6rem 1fr 3.8rem 1.6rem; }
  #sketch-gallery .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
}
"""
