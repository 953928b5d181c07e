"""Gradio's own scripts, corrected where their text is found, which is tested for the locked version of Gradio.

For each event and each change, Gradio searches the tree of all components, and for each component the list of all
events. The page has hundreds of both, so an index replaces these searches: half of the time until the page can be used.
The tree keeps its form, because the page renders nothing dynamically (`gr.render`).

An update of some properties of an HTML component that is not shown yet would drop its other properties.
"""

from __future__ import annotations

import re

# The start of a file's name, what is replaced, and by what. Names that the minifier has chosen are groups in searches.
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
    (  # properties of an HTML component, which are one property `props` to Gradio
        "core-",
        r"for\(let t in n\.props\)e\.props\.props\[t\]=n\.props\[t\]",
        "for(let t in n.props)e.props.props[t]=t===`props`?{...e.props.props.props,...n.props.props}:n.props[t]",
    ),
    (  # the same for what it gets when it is shown
        "core-",
        r"this\.#l\.set\(e,\{\.\.\.t,\.\.\.a\}\)",
        "this.#l.set(e,{...t,...a,...a.props&&r&&{props:r.props.props.props}})",
    ),
    (  # the state of a component, for an event that changes no property of it
        "Blocks-",
        r"async set_event_args\((\w),(\w)\)\{",
        r"async set_event_args(\1,\2){if(!Object.keys(\2).length)return()=>{};",
    ),
    (  # the clock of a pending event, which one always is: it has one decimal, and every frame cost 7 % of a core
        "statustracker-",
        r"function (\w+)\(\)\{\w+\(\(\)=>\{(\w+\(\w+,\(performance\.now\(\)-\w+\(\w+\)\)/1e3\)),(\w+)&&\1\(\)\}\)\}",
        r"function \1(){setTimeout(()=>{\2,\3&&\1()},100)}",
    ),
    (  # what an editor watches while nothing is drawn: ten times a second instead of in every frame, 5 % of a core
        "colorToUniform-",
        r"&&\(this\._requestId=requestAnimationFrame\(this\._tick\)\)\)",
        "&&(this._requestId=this._protected?this._later():requestAnimationFrame(this._tick)))",
    ),
    (
        "colorToUniform-",
        r"(?=_requestIfNeeded\(\)\{)",
        "_later(){let e=-setTimeout(()=>{this._requestId===e&&"
        "(this._requestId=requestAnimationFrame(this._tick))},100);return e}",
    ),
    (  # what an editor sends: its background and layers are enough, and drawing and sending them together takes longer
        "Index-",
        r"composite:await \w+\(this\.app\.renderer,this\.image_container,\{width:e,height:t,x:0,y:0\}\)",
        "composite:null",
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
