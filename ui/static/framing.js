// Draws the square of `found` on the picture above, and lets a person move it. The value is the person's choice.
const find = name => element.querySelector(`.framing-${name}`);
const fieldId = element.closest('[id$=-framing]').id.replace(/-framing$/, '');
const [line, tools, domainBox, ownStage] = ['line', 'tools', 'domain', 'stage'].map(find);
const KEYS = {ArrowLeft: [-1, 0, 0, 0], ArrowRight: [1, 0, 0, 0], ArrowUp: [0, -1, 0, 0], ArrowDown: [0, 1, 0, 0],
  '+': [0, 0, 1, 0], '=': [0, 0, 1, 0], '-': [0, 0, -1, 0], '[': [0, 0, 0, -1], ']': [0, 0, 0, 1]};
const NAMES = ['the eye on the left', 'the eye on the right', 'the middle of the mouth'];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
let drag = null, marks = null, known = '', later = 0;
let repeats = 0;
let choice = {};  // the person's last choice; an answer to an earlier event may bring back an earlier value

const layer = document.createElement('div');
layer.className = 'framing-layer';
layer.innerHTML = `<div class="framing-shade"><i></i></div><div class="framing-square" role="group" tabindex="0"
  aria-label="Square on the picture: arrow keys move it, plus and minus change its size, square brackets turn it">
  ${['nw', 'ne', 'sw', 'se', 'turn'].map(grip => `<b data-grip="${grip}"></b>`).join('')}</div>`;
const square = layer.querySelector('.framing-square');

const stage = () => (props.found && props.found.thumbnail ? ownStage : document.getElementById(fieldId));
const image = () => stage()?.querySelector('.image-frame img, :scope > img');
const chosen = () => (choice.of === props.found.of ? choice : {of: props.found.of});
const current = () => chosen().hand || props.found.square;

// The picture's own rectangle inside its element, which may be larger, in pixels of the stage.
const frame = () => {
  const picture = image(), box = picture.getBoundingClientRect(), outer = stage().getBoundingClientRect();
  const [width, height] = props.found.size;
  const scale = Math.min(box.width / width, box.height / height);
  const [w, h] = [width * scale, height * scale];
  return {left: box.left - outer.left + (box.width - w) / 2, top: box.top - outer.top + (box.height - h) / 2, w, h};
};

// A new picture has been uploaded, and the server has not answered yet.
const waits = () => Boolean(image()?.src) && image().src !== known;

const draw = () => {
  const here = props.found && stage(), picture = here && image();
  const shown = Boolean(picture && picture.src === known && picture.getBoundingClientRect().width);
  layer.hidden = !shown;
  tools.hidden = !props.found;
  if (!shown) return;
  if (layer.parentElement !== here) here.append(layer);
  const {left, top, w, h} = frame(), [x, y, side, turn] = current(), length = side * Math.min(w, h);
  Object.assign(layer.style, {left: `${left}px`, top: `${top}px`, width: `${w}px`, height: `${h}px`});
  [square, layer.querySelector('i')].forEach(part => Object.assign(part.style, {left: `${x * w}px`, top: `${y * h}px`,
    width: `${length}px`, height: `${length}px`, transform: `translate(-50%, -50%) rotate(${turn}deg)`}));
  layer.classList.toggle('framing-marking', Boolean(marks));
  layer.querySelectorAll('em').forEach(mark => mark.remove());
  (marks || []).forEach(([x, y]) => {
    const mark = layer.appendChild(document.createElement('em'));
    Object.assign(mark.style, {left: `${x * w}px`, top: `${y * h}px`});
  });
};

const write = () => {
  const {found, domain} = props;
  const instruction = marks && `Click ${NAMES[marks.length]} (${marks.length + 1} of 3).`;
  const text = waits() ? 'Looking at the picture.' : found ? instruction || found.line : '';
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle('bad', Boolean(found && found.bad && !marks));
  tools.querySelector('[data-do=points]').setAttribute('aria-pressed', Boolean(marks));
  if (found) {
    const {hand, points, how, face} = chosen(), faces = find('faces');
    faces.hidden = found.faces < 2 && !(face > 1);
    faces.querySelector('span').textContent = hand || points ? '' : `${found.face} of ${found.faces}`;
    tools.querySelector('[data-do=reset]').hidden = !(hand || points || how || face > 1);
    tools.querySelector('[data-do=centre]').hidden = how === 'centre' || !(hand || points || found.faces);
  }
  const domainLine = found && !waits() && domain && domain.of === found.of ? domain : null;
  domainBox.hidden = !domainLine;
  if (!domainLine) return;
  domainBox.classList.toggle('outside', !domainLine.inside);
  domainBox.querySelector('span').textContent = domainLine.text;
  domainBox.querySelector('button').hidden = !domainLine.button;
  domainBox.querySelector('button').textContent = domainLine.button || '';
};
const show = () => { write(); draw(); };

const choose = (given, wait = 0) => {
  repeats = 0;
  props.value = choice = {of: props.found.of, ...given};
  show();
  clearTimeout(later);
  later = setTimeout(() => trigger('placed'), wait);
};
const place = ([x, y, side, turn], wait) => choose({hand: [clamp(x, 0, 1), clamp(y, 0, 1), clamp(side, .05, 2),
  (turn + 540) % 360 - 180]}, wait);

const at = event => {
  const box = layer.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
// The square after a drag from `drag.start` to a point, both in pixels of the layer.
const dragged = ([px, py]) => {
  const {start: [sx, sy], square: [x, y, side, turn], grip} = drag, {w, h} = frame(), unit = Math.min(w, h);
  const [cx, cy] = [x * w, y * h];
  if (!grip) return [x + (px - sx) / w, y + (py - sy) / h, side, turn];
  if (grip === 'turn') {
    const angle = Math.atan2(py - cy, px - cx) - Math.atan2(sy - cy, sx - cx);
    return [x, y, side, turn + angle * 180 / Math.PI];
  }
  // The opposite corner stays where it is.
  const angle = turn * Math.PI / 180, right = grip[1] === 'e' ? 1 : -1, down = grip[0] === 's' ? 1 : -1;
  const along = [(right * Math.cos(angle) - down * Math.sin(angle)) / Math.SQRT2,
    (right * Math.sin(angle) + down * Math.cos(angle)) / Math.SQRT2];
  const half = side * unit / Math.SQRT2, grown = (px - sx) * along[0] + (py - sy) * along[1];
  const length = clamp(2 * half + grown, .05 * unit * Math.SQRT2, 2 * unit * Math.SQRT2), shift = length / 2 - half;
  return [(cx + along[0] * shift) / w, (cy + along[1] * shift) / h, length / Math.SQRT2 / unit, turn];
};

layer.addEventListener('pointerdown', event => {
  event.preventDefault();
  event.stopPropagation();
  if (marks) {
    const [px, py] = at(event), {w, h} = frame();
    marks.push([clamp(px / w, 0, 1), clamp(py / h, 0, 1)]);
    if (marks.length < 3) return show();
    const points = marks;
    marks = null;
    return choose({points});
  }
  square.focus({preventScroll: true});
  layer.setPointerCapture(event.pointerId);
  drag = {start: at(event), square: current(), grip: event.target.dataset.grip};
});
layer.addEventListener('pointermove', event => {
  if (!drag) return;
  drag.moved = true;
  const [x, y, side, turn] = dragged(at(event));
  props.value = choice = {of: props.found.of,
    hand: [clamp(x, 0, 1), clamp(y, 0, 1), side, (turn + 540) % 360 - 180]};
  draw();
});
['pointerup', 'pointercancel'].forEach(name => layer.addEventListener(name, () => {
  const {moved} = drag || {};
  drag = null;
  if (moved) choose({hand: current()});
}));
layer.addEventListener('click', event => event.stopPropagation());
square.addEventListener('keydown', event => {
  const step = KEYS[event.key];
  if (!step || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const [x, y, side, turn] = current(), far = event.shiftKey && !'+='.includes(event.key) ? 5 : 1;
  place([x + .01 * far * step[0], y + .01 * far * step[1], side * 1.03 ** step[2], turn + 2 * step[3]], 400);
});
element.addEventListener('keydown', event => {
  if (event.key === 'Escape' && marks) { marks = null; show(); }
});
element.addEventListener('click', event => {
  const button = event.target.closest('button'), {found, domain} = props;
  if (!button || !found) return;
  const name = button.dataset.do, step = {previous: -1, next: 1}[name];
  if (step) choose({face: ((found.face || 1) - 1 + step + found.faces) % found.faces + 1});
  if (name === 'reset') { marks = null; choose({}); }
  if (name === 'centre') choose({how: 'centre'});
  if (name === 'points') { marks = marks ? null : []; show(); }
  if (name === 'large') {
    stage().style.setProperty('--framing-height', `${element.clientWidth * found.size[1] / found.size[0] + 18}px`);
    button.setAttribute('aria-pressed', stage().classList.toggle('framing-large'));
    button.textContent = stage().classList.contains('framing-large') ? 'Smaller' : 'Enlarge';
  }
  if (name !== 'take') return;
  if (domain.model) return trigger('switched', {model: domain.model});
  const menu = document.getElementById(fieldId.replace(/picture$/, 'methods'));
  const boxes = [...menu.querySelectorAll('input[type=checkbox]')];
  boxes.forEach(box => { box.checked = domain.methods.includes(box.value); });
  boxes[0].dispatchEvent(new Event('change', {bubbles: true}));
  // The list may scroll: all that are ticked, or else the first ones.
  const ticked = boxes.filter(box => box.checked).map(box => box.closest('label'));
  [ticked.at(-1), ticked[0]].forEach(label => label?.scrollIntoView({block: 'nearest'}));
});

// The square of an earlier run, if it belongs to this picture.
let restored = 0;
const restore = () => {
  const {answer, ...earlier} = props.restored || {};
  if (!answer || answer === restored || !props.found || earlier.of !== props.found.of) return;
  restored = answer;
  props.value = choice = earlier;
  if (Object.keys(earlier).length > 1) setTimeout(() => trigger('placed'));
};
watch('restored', restore);
watch('found', () => {
  const {found} = props;
  if (found && found.thumbnail) ownStage.querySelector('img').src = found.thumbnail;
  ownStage.hidden = !(found && found.thumbnail);
  known = image()?.src || '';
  if (found && choice.of !== found.of) { marks = null; props.value = choice = {of: found.of}; }
  restore();
  // The answer is about an earlier choice, which Gradio has sent: send the present one.
  const ignored = found && (choice.hand ? !found.by_hand : choice.face <= found.faces && choice.face !== found.face);
  if (ignored && !drag && repeats < 5) {
    repeats += 1;
    props.value = {...choice};
    setTimeout(() => trigger('placed'), 300);
  }
  show();
});
watch('domain', write);
const sized = new ResizeObserver(draw);
// The picture's address may change after the answer about it: then the server is asked once more.
let asked = '';
const askAgain = src => setTimeout(() => { if (waits() && image().src === src) trigger('placed'); }, 1500);
const follow = () => {
  const picture = document.getElementById(fieldId);
  if (!picture) return setTimeout(follow, 500);
  new MutationObserver(changes => {
    if (changes.every(change => layer.contains(change.target) || change.target === layer)) return;
    const shown = image();
    if (shown) sized.observe(shown);
    if (waits() && shown.src !== asked) askAgain(asked = shown.src);
    show();
  }).observe(picture, {childList: true, subtree: true, attributeFilter: ['src', 'class', 'style']});
  sized.observe(picture);
};
follow();
ownStage.querySelector('img').addEventListener('load', draw);
document.addEventListener('load', event => { if (event.target === image?.()) draw(); }, true);
show();
