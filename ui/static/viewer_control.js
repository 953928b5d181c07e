// Mouse, fingers, keys and buttons of the viewer; its dialog for the results of a tab, and its place in the tab Compare.
const compareFiles = [];  // dropped files {id, name, url}: they stay in this browser
Viewer.prototype.wire = function wire() {
  const {host, stage} = this;
  this.files = compareFiles;
  host.addEventListener('click', event => {
    const {mode, do: action} = event.target.closest('button')?.dataset || {};
    if (mode) this.choose(mode);
    if (action) this.act(action);
  });
  host.addEventListener('change', event => {
    const {target} = event, name = target.dataset.pick;
    if (name) {
      this.picks[name] = name === 'range' ? Number(target.value) : target.value;
      this.layOut();
    } else if (target.type === 'file') {
      this.add([...target.files]);
      target.value = '';
    } else if (target.type === 'checkbox') this.tick(target);
  });
  host.addEventListener('keydown', event => this.key(event));
  stage.addEventListener('wheel', event => {
    if (!this.close && !event.ctrlKey && !host.contains(document.activeElement)) return;  // the page scrolls
    event.preventDefault();
    const pane = this.paneAt(event.target);
    if (pane) this.zoomBy(1.0015 ** -event.deltaY, pane, event.offsetX, event.offsetY);
  }, {passive: false});
  stage.addEventListener('dblclick', event => {
    const pane = this.paneAt(event.target);
    if (pane) this.zoomBy(this.zoom > 1 ? 0 : 4, pane, event.offsetX, event.offsetY);
  });
  stage.addEventListener('pointerdown', event => {
    if (!this.paneAt(event.target)) return;
    stage.focus({preventScroll: true});
    event.target.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.look(event);
  });
  stage.addEventListener('pointermove', event => {
    this.look(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (!other) return this.move(before[0] - now[0], before[1] - now[1]);
    const far = point => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
    const box = event.target.getBoundingClientRect();
    this.zoomBy(far(now) / far(before), this.paneAt(event.target), (now[0] + other[0]) / 2 - box.left,
      (now[1] + other[1]) / 2 - box.top);
  });
  ['pointerup', 'pointercancel'].forEach(name =>
    stage.addEventListener(name, event => this.pointers.delete(event.pointerId)));
  host.addEventListener('dragover', event => event.preventDefault());
  host.addEventListener('drop', event => {
    event.preventDefault();
    event.stopPropagation();
    this.add([...event.dataTransfer.files]);
  });
  new ResizeObserver(() => this.measure()).observe(stage);
};

Object.assign(Viewer.prototype, {
  paneAt(target) { return this.panes.find(pane => pane.canvas === target); },

  choose(mode) {
    this.mode = mode;
    this.flicker(false);
    this.layOut();
    this.say({side: 'Side by side', slider: 'Two pictures on a slider', difference: 'Computing differences'}[mode]);
  },

  act(action) {
    if (action === 'in' || action === 'out') this.zoomBy(action === 'in' ? 1.5 : 1 / 1.5);
    if (action === 'fit') { this.fit(); this.say('Whole pictures'); }
    if (action === 'flicker') this.flicker(!this.blinking);
    if (action === 'loupe') this.magnify(!this.lens);
    if (action === 'add') this.host.querySelector('input[type=file]').click();
    if (action === 'close') this.close();
  },

  press(action, on) { this.host.querySelector(`[data-do=${action}]`).setAttribute('aria-pressed', on); },

  // Alternate with the reference, or between the two pictures of the slider. Without motion, each call changes once.
  flicker(on) {
    clearInterval(this.blinking);
    const still = calm.matches;
    const other = {side: this.picture('reference')?.name, difference: 'the pictures', slider: 'the two pictures'}[this.mode];
    this.odd = on;
    this.blinking = on && (still || setInterval(() => { this.odd = !this.odd; this.draw(); }, BLINK));
    this.press('flicker', Boolean(on));
    if (on) this.say(still ? `Shows ${other}` : `Alternates with ${other}`);
    this.draw();
  },

  magnify(on) {
    this.lens = on ? {u: this.x, v: this.y} : null;
    this.press('loupe', on);
    this.draw();
  },

  look(event) {
    const pane = this.lens && this.paneAt(event.target);
    if (!pane) return;
    const {scale, left, top} = this.frame(pane), {width, height} = pane.picture;
    this.lens = {u: between((event.offsetX - left) / scale / width, 0, .9999),
      v: between((event.offsetY - top) / scale / height, 0, .9999)};
    this.draw();
  },

  key(event) {
    const {key, target} = event, arrow = ARROWS[key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.getAttribute('role') === 'radio' && arrow) {  // arrows choose within a group
      const modes = [...this.host.querySelectorAll('[role=radio]')];
      const next = modes[(modes.indexOf(target) + arrow[0] + arrow[1] + modes.length) % modes.length];
      event.preventDefault();
      this.choose(next.dataset.mode);
      return next.focus();
    }
    if (target.matches('select, input, button')) return;
    if (arrow && event.shiftKey && this.lens) {
      const {width, height} = this.panes[0].picture;
      this.lens = {u: between(this.lens.u + arrow[0] / width, 0, .9999), v: between(this.lens.v + arrow[1] / height, 0, .9999)};
      this.draw();
      clearTimeout(this.later);
      this.later = setTimeout(() => this.say(this.panes.map(pane =>
        `${pane.title.textContent} ${pane.note.textContent}`).join('. ')), 400);
    } else if (arrow) this.move(40 * arrow[0], 40 * arrow[1]);
    else if ('+='.includes(key)) this.act('in');
    else if (key === '-') this.act('out');
    else if (key === '0') this.act('fit');
    else if (key === ' ') this.flicker(!this.blinking);
    else return;
    event.preventDefault();
  },

  tick(box) {
    if (box.checked && this.ticked.length >= MAX_PICTURES) {
      box.checked = false;
      return this.say(`At most ${MAX_PICTURES} pictures at a time. Untick another one first.`);
    }
    const ids = new Set(this.ticked);
    ids[box.checked ? 'add' : 'delete'](box.value);
    this.ticked = this.offered.map(one => one.id).filter(id => ids.has(id));
    return this.load();
  },

  add(files) {
    const pictures = files.filter(file => file.type.startsWith('image/')).map(file =>
      ({id: `file/${file.name}/${file.lastModified}`, name: file.name.replace(/\.\w+$/, ''), url: URL.createObjectURL(file)}));
    if (!pictures.length) return this.say('Choose picture files: PNG, JPEG or WebP.');
    compareFiles.push(...pictures.filter(one => compareFiles.every(({id}) => id !== one.id)));
    const own = this.offered.filter(one => !compareFiles.includes(one));
    return this.offer(own, [...this.ticked, ...pictures.map(one => one.id)]);
  },
});

let dialog = null, comparison = null;
// The results of a tab, over the whole window. show: ids of those that are ticked, all without it.
const openViewer = (key, show = null) => {
  if (!dialog) {
    dialog = document.createElement('dialog');
    dialog.className = 'viewer-dialog';
    dialog.setAttribute('aria-label', 'Compare results');
    document.querySelector('.gradio-container main').append(dialog);  // where the page's styles hold
    dialog.viewer = new Viewer(dialog.appendChild(document.createElement('div')), () => dialog.close());
    dialog.addEventListener('close', () => dialog.viewer.flicker(false));
  }
  const pictures = picturesOf(key);
  dialog.showModal();
  dialog.viewer.fit();
  dialog.viewer.offer(pictures, show || pictures.map(one => one.id)).then(() => dialog.viewer.stage.focus());
};
// The tab Compare, with the results of all tabs; at first those of the last tab that has some are ticked.
const openComparison = (ticked = null) => {
  const host = document.querySelector('#compare-viewer .viewer-host');
  if (!host) return setTimeout(() => openComparison(ticked), 100);
  if (comparison?.host !== host) comparison = new Viewer(host);
  const pictures = allTabs().flatMap(picturesOf), ids = new Set(pictures.map(one => one.id));
  const before = comparison.ticked.filter(id => ids.has(id) || id.startsWith('file/'));
  const last = visited.find(key => pictures.some(one => one.tab === key)) || pictures[0]?.tab;
  const wanted = ticked ? [...before, ...ticked] : before.length ? before
    : pictures.filter(one => one.tab === last).map(one => one.id);
  return comparison.offer(pictures, wanted);
};
let visited = [];  // keys of tabs, the last one first
document.addEventListener('click', event => {
  const opener = event.target.closest?.('[data-compare]');
  if (opener) openViewer(opener.dataset.compare, opener.dataset.show && JSON.parse(opener.dataset.show));
  const tab = event.target.closest?.('[role=tab][data-tab-id]')?.dataset.tabId;
  if (tab === 'compare') openComparison();
  else if (tab) visited = [tab, ...visited.filter(key => key !== tab)];
});
