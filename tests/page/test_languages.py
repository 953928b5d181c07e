"""Every string of the page has a translation, and every translation is of a string of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from gradio_client import Client
from helpers import strings
from helpers.translation import translated

from inversion.checkpoints.registry import registry
from inversion.directions import attribute_label
from inversion.methods import METHODS
from inversion.synthetic import DOMAINS
from ui.languages import LANGUAGES, translator, words

# Names, papers, licences, addresses, commands and units are the same in every language.
SAME = re.compile(
    r".*\barXiv .*|.* (et al\.|Bharath \d+|\d{4})$|https?:.*|.*(MIT|BSD|CC BY|NVIDIA Source).*|(From )?python -m .*"
    r"|[\d.{}]* ?(px|[kMG]B|dB|UTC|min)|[\w{}]+(\.[\w{}]+)+"
    r"|[\w.-]+-[\w.-]+(, [\w.-]+)*|[a-z_0-9]+|[A-Z]{2,}( \(\w+\))?|.*--\w+.*"
)
NAMES = {
    *("Inversion Hub", "mGANprior", "Photoshop", "Netpbm", "JPEG XL", "JPEG 2000", "Radiance HDR", "PyTorch", "NumPy"),
    *("inversion-hub code", "psp, w, wplus", "centre", "Somebody's drive."),
}
# Texts for programs, and errors that only a caller of the package or the operator of a server can cause.
NOT_SHOWN = re.compile(
    "|".join(
        [
            r".*([<>{]/|\bH, W\b|\b=\"|field: value|\"yaw\"|\"smile\"|\"0-5\"|__type__|#\{\}|:nth|`\{\}`).*",
            r".*(Every event|last event|rows \(one|uint8|Tensor|True to|\*\w+\*|text chunk|it is broken).*",
            r".*\(sha256 \{\}\.\.\.\)",
            r"La|Tab|False|Escape|Adding|Additions|Facts|Busy|Request|Session|Step \| Report|Choose \$.*|data-left=.*",
            r"div class=.*|aria-label=.*|Edit\.\*\*.*|details open|allocate memory|unable to mmap|no output was added",
            r"Placeholder|Inert|Refused|Module|Contents|Part|Range|by hand",
            r"precision and recall .*|a run ends with a result|2022\) section.*|not a list of .*|a file; .*|From x",
            r"Without a file, .*|one of \{\}\.|number of pictures, .*|the first varied layer\.|Move it away, .*",
            r"smallest identity .*|0: off\.|Check an effect that .*|Invert the picture, then .*|Turn a drawing, .*",
            r"\{\} Without a picture, the code itself is edited\.",
        ]
    )
)
PLACE, MARK = re.compile(r"\{\w*(?::\w+)?\}"), re.compile(r"<(\d+)>")
DIRECTIONS = [name for name in registry() if name.startswith("direction-")]
LABELS = {method.label for method in METHODS.values()}
# Labels of Gradio's own buttons, for which Gradio has no translation.
GRADIO = {
    *("number input for {}", "range slider for {}", "Upload file", "Capture from camera", "Paste from clipboard"),
    *("Reset to default value", "Click to upload or drop files", "undo", "Undo", "Redo", "Fullscreen", "Table actions"),
    *("Copy table data", "Gradio footer navigation", "Pan", "Clear canvas", "Brush", "Erase", "Paste", "Webcam"),
    *("Color", "Brush Size", "capture photo", "Error"),
}
# Texts that code puts together from several strings, or that only some pages have.
LATER = {
    *("methods", "minutes", "method {} of {}", "run {} of {}", "model {} of {}", "seed {}", "{} cells", "{} s", "{} h"),
    *(
        "available",
        "downloading",
        "drawn faces",
        "Remove key state {}",
        "X axis",
        "Y axis",
        "Z axis",
        "{} does not fit {}: {}",
        "{} is not a whole safetensors file: {}",
    ),
    *(
        "Generators ({})",
        "Encoders ({})",
        "Other networks ({})",
        "Yours ({})",
        "From {}",
        "From your file {}",
        "unknown",
    ),
    *(
        "A face",
        "A house",
        "Unknown",
        "Cancel {}",
        "Not available with this model",
        "PSNR against seconds: {}",
        "such as {}",
        "the mouth",
    ),
    *("Values for all cells, such as", "about {} left for {}, {} in all", "damaged: the file {}", "downloading, {}"),
    *("Choose a picture: PNG, JPEG or WebP.", "Choose one of these types: {}.", "unknown size to download"),
    "{} and {} more",
    *("With nearby codes: reduce the squared error of the pixels alone.",),
    *("{}: this file is not a picture that the browser can read.", "{}: this type of file cannot be used here."),
}
IOU = "The mean IoU of a code with its best class is {}, with any class {}; {} classes are the best of a code: {}"
# Parts of the findings of analyses, see `test_its_report_is_in_the_language_of_the_page`.
JOINED = {
    *(
        "AuC {} for grey",
        "{} for mGANprior",
        "the best is {} with {}",
        "{} gets {} dB with one code and {} dB with many",
    ),
    *("Clone without its global term {}", "PTI {} dB and {}", "W+ from the mean {}", "Coarse styles", "Middle styles"),
    "The mean area is {} for In-Domain and {} for W+ from the mean, larger for {} and smaller for {} of {} attributes",
    *(IOU.format("{}", "{}", "{}", end) for end in ("codes specialise here.", "codes do not specialise here.")),
    *("Fine styles", "the model lacks encoders to compare", "{} classes are the best of a code"),
}


@pytest.fixture(scope="module")
def shown(client: Client) -> dict[str, str]:
    """The strings of the page with the places they come from."""
    page = strings.of_page(client.config)
    names = LABELS | set(registry())
    found = {**dict.fromkeys(sorted(page), "the page"), **strings.of_scripts(), **strings.of_source()}
    found.update(dict.fromkeys(strings.of_registry(), "checkpoints.yaml"))
    found.update((label, "a slider") for domain in DOMAINS.values() for label in domain.labels.values())
    found.update((attribute_label(name.removeprefix("direction-"), ""), "a slider") for name in DIRECTIONS)
    return {
        text: place
        for text, place in found.items()
        if text not in NAMES | names and not SAME.fullmatch(text) and not NOT_SHOWN.fullmatch(text)
    }


def flipped(text: str) -> str:
    return text[0].swapcase() + text[1:]


def looked_up(texts: Iterable[str], language: str) -> tuple[dict[str, str], set[str]]:
    """Texts that stay English, or parts of them do, with these parts; and the keys by which the texts were found."""
    own = words(language)
    keys = list(own)
    marks = {key: " ".join([f"<{at}>", *PLACE.findall(own[key])]) for at, key in enumerate(keys)}
    shown = translated(texts, language, marks)
    kept = {text: MARK.sub("", found) for text, found in shown.items()}
    used = {keys[int(at)] for found in shown.values() for at in MARK.findall(found)}
    return {text: rest for text, rest in kept.items() if not all(map(same, re.split("[:;,] ", rest)))}, used


def same(part: str) -> bool:
    """Whether a part of a text is the same in every language."""
    part = part.strip(" .")
    return part in LABELS or SAME.fullmatch(part) is not None or re.search("[a-z]{3}", PLACE.sub("", part)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_has_a_translation_and_every_translation_is_used(language: str, shown: dict[str, str]) -> None:
    missing, found = looked_up(shown, language)
    lines = [f"{text!r} keeps {rest!r}  ({shown[text]})" for text, rest in missing.items()]
    assert not missing, "\n".join([f"add to ui/languages/{language}.json:", *lines])
    used = found | GRADIO | LATER | JOINED | strings.literals()
    unused = words(language).keys() - used - {flipped(text) for text in used}
    assert not unused, f"remove from ui/languages/{language}.json:\n" + "\n".join(map(repr, sorted(unused)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_have_the_places_of_their_strings(language: str) -> None:
    for english, own in words(language).items():
        places = re.findall(r"\{(\d?)\}", own)
        assert all(places) or not any(places), own
        numbers = sorted(int(place) if place else at for at, place in enumerate(places))
        before = english.split("{}")[:-1]
        plurals = {at for at, text in enumerate(before) if at and (not text or text[-1].isalpha())}  # "file{}"
        assert set(range(len(before))) - plurals <= set(numbers) <= set(range(len(before))), english


def test_units_of_time_are_translated_within_a_text() -> None:
    texts = {"about 112 s left": "약 112초 남음", "about 2 min left": "약 2분 남음", "about 3 h left": "약 3시간 남음"}
    assert translated(texts, "ko") == texts


def test_the_script_of_a_language_holds_its_words() -> None:
    assert all(script in translator("ko") for script in ("색 입히기", "MutationObserver"))
