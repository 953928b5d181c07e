// The page in the language of the browser: WORDS holds English -> LANGUAGE, with {} for numbers, names and units; only
// browsers of this language load this file. The page stays English inside: all that is shown is translated where it
// appears, and what the fields hold and send is not touched.
const ATTRIBUTES = ['aria-label', 'title', 'placeholder', 'alt'];
const LEFT_ALONE = 'script, textarea, code, pre, [translate=no], [contenteditable=true]';
const WORD = /[a-z]{2}|\d [sh]$/i;  // or a time
const LIMITS = /^[\s:;,()·|]+|[\s:;,(·|]+$/g;
const flipped = text => (text[0] === text[0].toUpperCase() ? text[0].toLowerCase() : text[0].toUpperCase()) + text.slice(1);
const escaped = text => text.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
// Short patterns such as "{} of {}" begin with a number: other texts that look like this may be anything.
const ruleOf = english => {
  const [start, ...others] = english.split('{}').map(escaped);
  const first = english.match(/[a-z]/gi).length <= 4 ? '([-\\d].*)' : '(.*)';
  return new RegExp(`^${start}${first}${others.join('(.*)')}$`, 'i');
};
const isOne = english => !/[;:,] /.test(english);
const patternOf = ([english, own]) => ({own, size: english.length, rule: ruleOf(english), one: isOne(english)});
const patterns = Object.entries(WORDS).filter(([english]) => english.includes('{}')).map(patternOf)
  .sort((one, other) => other.size - one.size);
// The translation of a text of the catalogue, or undefined. Places may hold names, which stay, or texts of the catalogue.
// part: of a text that was put together; "several" parts are known as such only.
const known = (text, part) => {
  if (Object.hasOwn(WORDS, text)) return WORDS[text];
  if ((part || text.includes(' ')) && Object.hasOwn(WORDS, flipped(text))) return WORDS[flipped(text)];
  for (const {rule, own, one} of patterns) {
    const places = one && part === 'several' ? null : rule.exec(text)?.slice(1);
    if (!places) continue;
    let next = 0;
    return own.replace(/\{(\d?)\}/g, (_, at) => translated(places[at === '' ? next++ : Number(at)]));
  }
  return undefined;
};
const stopped = text => text === undefined ? text : `${text}.`;
const core = (text, part) => {  // without spaces and signs around it
  const inside = text.replace(LIMITS, '');
  const found = WORD.test(inside) ? known(inside, part) : undefined;
  if (found !== undefined) return text.replace(inside, () => found);
  return part && inside.endsWith('.') ? stopped(core(text.slice(0, -1), part)) : undefined;
};
const SENTENCES = /((?<=[.!?]) (?=[a-z]?[A-Z0-9]))/, PARTS = /(; |: |, )/;
const lookUp = text => {
  if (!WORD.test(text)) return text;
  if (text.includes(' · ')) return text.split(' · ').map(lookUp).join(' · ');
  const sentences = text.split(SENTENCES);  // first: a pattern would take the next sentence for a part of its place
  const whole = sentences.length > 1 ? WORDS[text] : core(text) ?? known(text);  // "about {}" would take "left " with its space
  if (whole !== undefined) return whole;
  return sentences.map(one => core(one) ?? inParts(one.split(PARTS))).join('');
};
// Texts that were put together: as long a part as is known, then the next. parts: texts, with signs between them.
const LONGEST = 13;  // parts and signs
const inParts = parts => {
  for (let end = Math.min(LONGEST, parts.length); end > 0; end -= 2) {
    const own = core(parts.slice(0, end).join(''), end > 1 ? 'several' : true);
    if (own === undefined && end > 1) continue;
    const rest = parts.slice(end);
    return (own ?? parts[0]) + (rest.length ? rest[0] + inParts(rest.slice(1)) : '');
  }
  return '';
};
const made = new Map();
const translated = text => {
  if (made.size > 5000) made.clear();
  if (!made.has(text)) {
    const own = lookUp(text.replace(/\s+/g, ' '));
    made.set(text, own === text.replace(/\s+/g, ' ') ? text : own);
  }
  return made.get(text);
};

const translateText = node => {
  const parent = node.parentElement;
  if (!parent || parent.closest(LEFT_ALONE)) return;
  const {data} = node;
  const own = parent.localName === 'style' ? data.replace(/(content: ")([^"\\]+)"/g, (_, start, word) => `${start}${translated(word)}"`)
    : translated(data);
  if (own !== data) node.data = own;
};
const translateAttributes = element => {
  if (element.closest('[translate=no]')) return;
  ATTRIBUTES.forEach(name => {
    const value = element.getAttribute(name), own = value && translated(value);
    if (!own || own === value) return;
    if (name === 'aria-label') element.dataset.english = value;  // scripts find Gradio's buttons by it
    element.setAttribute(name, own);
  });
};
const translate = root => {
  if (root.nodeType === Node.TEXT_NODE) return translateText(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return undefined;
  translateAttributes(root);
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) translateText(node);
    else translateAttributes(node);
  }
  return undefined;
};
// Before the page is painted. A text that is translated already is in no list, so this ends.
new MutationObserver(changes => changes.forEach(({type, target, addedNodes}) => {
  if (type === 'childList') addedNodes.forEach(translate);
  else if (type === 'attributes') translateAttributes(target);
  else translateText(target);
})).observe(document, {childList: true, subtree: true, characterData: true, attributeFilter: ATTRIBUTES});

// The menus of Gradio show the labels of choices in fields, not as texts: they are translated where they arrive.
const translateChoices = value => {
  if (Array.isArray(value)) return value.forEach(translateChoices);
  if (!value || typeof value !== 'object') return undefined;
  if (Array.isArray(value.choices)) value.choices.forEach(one => { if (Array.isArray(one)) one[0] = translated(String(one[0])); });
  return Object.values(value).forEach(one => { if (one && typeof one === 'object') translateChoices(one); });
};
(window.gradio_config?.components ?? []).forEach(({props}) => translateChoices({choices: props?.choices}));
const parse = JSON.parse;
JSON.parse = (text, ...others) => {
  const value = parse(text, ...others);
  if (typeof text === 'string' && text.includes('"choices"') && text.includes('"__type__"')) translateChoices(value);
  return value;
};
['confirm', 'prompt'].forEach(name => {
  const ask = window[name].bind(window);
  window[name] = (text, ...others) => ask(translated(text), ...others);
});
document.documentElement.lang = LANGUAGE;
