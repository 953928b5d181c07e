"""Gradio's own scripts, with repeated searches replaced by an index: half of the time until its page can be used.

For each event and each change, Gradio searches the tree of all components, and for each component the list of all
events. The page has hundreds of both. A search is replaced where its text is found, which is tested for the locked
version of Gradio. The tree keeps its form, because the page renders nothing dynamically (`gr.render`).
"""

from __future__ import annotations

import re

# Names that the minifier has chosen are groups. The replacement of each search does the same.
CORRECTIONS: tuple[tuple[str, str, str], ...] = (
    (  # the component with an id: the whole tree was walked
        "core-",
        r"function (\w+)\(e,t\)\{if\(e\.id===t\)return e;if\(e\.children\)for\(let n of e\.children\)"
        r"\{let e=\1\(n,t\);if\(e\)return e\}return null\}",
        r"function \1(e,t){let n=(\1.index??=new WeakMap).get(e)?.get(t);if(!n){let r=new Map,i=e=>{"
        r"r.has(e.id)||r.set(e.id,e);e.children?.forEach(i)};i(e);\1.index.set(e,r);n=r.get(t)}return n||null}",
    ),
    (  # the events of a component: the targets of all events were compared
        "core-",
        r"find_attached_events\(e,t\)\{let n=t\.filter\(",
        "find_attached_events(e,t){let r=(this.at_target??=new WeakMap).get(t);if(!r){r=new Map;for(let n of t)"
        "for(let[t]of n.targets)r.set(t,(r.get(t)||new Set).add(n));this.at_target.set(t,r)}"
        "let n=[...r.get(e.id)||[]].filter(",
    ),
    (  # the state of a component, for an event that changes no property of it
        "Blocks-",
        r"async set_event_args\((\w),(\w)\)\{",
        r"async set_event_args(\1,\2){if(!Object.keys(\2).length)return()=>{};",
    ),
)


def corrected(path: str, body: bytes) -> bytes:
    """The file at this address of Gradio's assets, with the corrections that are known for it."""
    name = path.rpartition("/")[2]
    known = [(old, new) for start, old, new in CORRECTIONS if name.startswith(start) and name.endswith(".js")]
    if not known:
        return body
    text = body.decode()
    for old, new in known:
        text = re.sub(old, new, text)
    return text.encode()
