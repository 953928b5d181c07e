// The viewer: pictures side by side, two on a slider, or as maps of differences, with one zoom and one place for all.
const BLINK = 700, LENS = 62, PIXELATED = 6;  // milliseconds; radius in pixels; screen pixels of a pixel that has edges
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const between = (value, low, high) => Math.min(high, Math.max(low, value));
const calm = matchMedia('(prefers-reduced-motion: reduce)');

class Viewer {
  constructor(host, close = null) {
    this.host = host;
    host.classList.add('viewer');
    host.innerHTML = VIEWER_TEMPLATE;
    [this.stage, this.legend, this.list, this.status] = ['stage', 'legend', 'list', 'said']
      .map(name => host.querySelector(`.viewer-${name}`));
    this.offered = [];  // {id, name, url, tab}
    this.ticked = [];  // ids, in the order of `offered`
    this.loaded = new Map();  // id -> picture
    this.files = [];
    this.panes = [];
    this.mode = 'side';
    this.picks = {range: 64};
    this.split = .5;
    this.pointers = new Map();
    this.close = close;
    host.querySelector('.viewer-close').hidden = !close;
    this.wire();
    this.fit();
  }

  pick(name) { return this.host.querySelector(`[data-pick=${name}]`); }
  picture(name) { return this.loaded.get(this.picks[name]); }
  shown() { return this.ticked.map(id => this.loaded.get(id)).filter(Boolean); }
  say(text) { this.status.textContent = text; }

  // Pictures to choose from; those with the ids in `ticked` are shown, at most MAX_PICTURES.
  offer(pictures, ticked) {
    this.offered = [...pictures, ...this.files];
    const ids = this.offered.map(one => one.id), wanted = new Set(ticked);
    this.ticked = ids.filter(id => wanted.has(id)).slice(0, MAX_PICTURES);
    this.writeList();
    return this.load();
  }

  async load() {
    this.host.classList.toggle('viewer-empty', !this.offered.length);
    const wanted = this.offered.filter(({id, url}) => this.ticked.includes(id) && this.loaded.get(id)?.url !== url);
    await Promise.all(wanted.map(async one => {
      try {
        this.loaded.set(one.id, await loadPicture(one));
      } catch {
        this.ticked = this.ticked.filter(id => id !== one.id);
        this.say(`${one.name}: this file is not a picture that the browser can read.`);
      }
    }));
    this.writePicks();
    this.layOut();
  }

  writeList() {
    const tabs = new Set(this.offered.map(one => one.tab).filter(Boolean));
    this.list.replaceChildren(...this.offered.map(({id, name, url, small, tab}) => {
      const chip = document.createElement('label'), box = document.createElement('input'), image = new Image();
      Object.assign(box, {type: 'checkbox', checked: this.ticked.includes(id), value: id});
      Object.assign(image, {src: small || url, alt: ''});
      chip.append(box, image, tabs.size > 1 && tab ? `${tabName(tab)}: ${name}` : name);
      return chip;
    }));
    const first = this.list.querySelector('label:has(:checked)');
    if (first) this.list.scrollTo(first.offsetLeft - this.list.offsetLeft, first.offsetTop - this.list.offsetTop);
  }

  writePicks() {
    const shown = this.shown(), ids = shown.map(one => one.id), results = ids.filter(id => !/\/(Your picture|Input)$/.test(id));
    const first = {left: ids[0], right: results.find(id => id !== ids[0]) || ids[1] || ids[0], reference: ids[0]};
    Object.entries(first).forEach(([name, id]) => {
      this.pick(name).replaceChildren(...shown.map(one => new Option(one.name, one.id)));
      if (!ids.includes(this.picks[name])) this.picks[name] = id;
      this.pick(name).value = this.picks[name];
    });
  }

  // Panes for the mode, as large as the stage allows.
  layOut() {
    const shown = this.shown(), reference = this.picture('reference');
    let pictures = shown;
    if (this.mode === 'slider') pictures = [this.picture('left')].filter(Boolean);
    if (this.mode === 'difference' && shown.length > 1) pictures = shown.filter(one => one !== reference);
    this.panes = pictures.map(picture => this.pane(picture));
    this.stage.replaceChildren(...this.panes.map(pane => pane.figure));
    if (!pictures.length) {
      this.stage.style.gridTemplateColumns = '1fr';
      this.stage.innerHTML = `<p>${this.offered.length ? 'Tick some pictures below.'
        : 'Results of the other tabs appear here. You can also drop picture files: they stay in your browser.'}</p>`;
    }
    this.divider = null;
    if (this.mode === 'slider' && this.panes.length) this.addDivider(this.panes[0]);
    this.host.dataset.mode = this.mode;
    this.host.querySelectorAll('[data-mode][role=radio]').forEach(button => {
      button.setAttribute('aria-checked', button.dataset.mode === this.mode);
      button.tabIndex = button.dataset.mode === this.mode ? 0 : -1;
    });
    this.host.querySelectorAll('[data-for]').forEach(part => { part.hidden = !part.dataset.for.includes(this.mode); });
    this.legend.hidden = this.mode !== 'difference' || !this.panes.length;
    if (this.mode === 'difference') this.compute();
    this.measure();
  }

  pane(picture) {
    const figure = document.createElement('figure'), caption = document.createElement('figcaption');
    const canvas = canvasOf(1, 1), title = document.createElement('b'), note = document.createElement('span');
    canvas.setAttribute('role', 'img');
    const send = Object.assign(document.createElement('button'), {type: 'button', textContent: 'Send to…'});
    send.setAttribute('aria-label', `Send ${picture.name} to another tab`);
    send.addEventListener('click', () => openMenu(send, picture));
    caption.append(title, note, send);
    figure.append(caption, canvas);
    return {picture, figure, canvas, title, note, pen: canvas.getContext('2d')};
  }

  addDivider(pane) {
    const divider = this.divider = document.createElement('div');
    Object.assign(divider, {className: 'viewer-divider', tabIndex: 0});
    Object.entries({role: 'slider', 'aria-label': 'Border between the two pictures', 'aria-valuemin': 0,
      'aria-valuemax': 100}).forEach(([name, value]) => divider.setAttribute(name, value));
    pane.figure.append(divider);
    const move = event => {
      const box = pane.canvas.getBoundingClientRect();
      this.split = between((event.clientX - box.left) / box.width, 0, 1);
      this.draw();
    };
    divider.addEventListener('pointerdown', event => {
      event.stopPropagation();
      divider.setPointerCapture(event.pointerId);
      divider.onpointermove = move;
    });
    divider.addEventListener('lostpointercapture', () => { divider.onpointermove = null; });
    divider.addEventListener('keydown', event => {
      const step = ARROWS[event.key]?.[0];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.split = between(this.split + .02 * step, 0, 1);
      this.draw();
    });
  }

  async compute() {
    const {range} = this.picks, reference = this.picture('reference'), panes = this.panes;
    if (!reference) return;
    const ticks = [0, .25, .5, .75, 1].map(part => `<i>${Math.round(range * part)} <small>(${
      (range * part / 255).toFixed(2)})</small></i>`).join('');
    this.legend.innerHTML = `<span>Mean absolute difference of the channels, in grey levels (as a part of 1)</span>
      <div class="viewer-scale"></div><div class="viewer-ticks">${ticks}</div>`;
    const stops = Array.from({length: 17}, (_, i) => `rgb(${heatColour(i / 16)})`);
    this.legend.querySelector('.viewer-scale').style.background = `linear-gradient(90deg, ${stops})`;
    for (const pane of panes) {
      pane.heat = await heatOf(pane.picture, reference, range);
      if (this.panes !== panes) return;
      this.draw();
    }
    this.say(`Differences from ${reference.name}`);
  }

  measure() {
    const {clientWidth: width, clientHeight: height} = this.stage, n = this.panes.length, gap = 8, head = 30;
    if (!n || !width) return;
    const aspect = Math.max(...this.panes.map(({picture}) => picture.height / picture.width));  // of the tallest
    const widest = columns => Math.floor(Math.min((width - gap * (columns - 1)) / columns,
      ((height - gap * (Math.ceil(n / columns) - 1)) / Math.ceil(n / columns) - head) / aspect));
    const columns = Array.from({length: n}, (_, i) => i + 1).reduce((best, one) => (widest(one) > widest(best) ? one : best));
    const side = Math.max(48, widest(columns));
    this.stage.style.gridTemplateColumns = `repeat(${columns}, ${side}px)`;
    this.stage.style.gridAutoRows = `${Math.floor(side * aspect) + head}px`;
    this.ratio = window.devicePixelRatio || 1;
    this.panes.forEach(pane => {
      const {clientWidth: w, clientHeight: h} = pane.canvas;
      Object.assign(pane, {w, h});
      pane.canvas.width = Math.max(1, Math.round(w * this.ratio));
      pane.canvas.height = Math.max(1, Math.round(h * this.ratio));
    });
    this.place();
  }

  // Screen pixels of a pixel of the pane's picture, and where the picture's corner is.
  frame({picture, w, h}) {
    const scale = Math.min(w / picture.width, h / picture.height) * this.zoom;
    return {scale, left: w / 2 - this.x * picture.width * scale, top: h / 2 - this.y * picture.height * scale};
  }

  // Keep the pictures in their panes, then draw.
  place() {
    const pane = this.panes[0];
    if (!pane?.w) return;
    const fit = Math.min(pane.w / pane.picture.width, pane.h / pane.picture.height);
    this.zoom = between(this.zoom, 1, Math.max(1, 48 / fit));
    const {scale} = this.frame(pane);
    const keep = (at, pane, picture) => {
      const half = pane / (2 * picture * scale);
      return half >= .5 ? .5 : between(at, half, 1 - half);
    };
    this.x = keep(this.x, pane.w, pane.picture.width);
    this.y = keep(this.y, pane.h, pane.picture.height);
    this.host.querySelector('.viewer-percent').textContent = `${Math.round(100 * scale)} %`;
    this.host.classList.toggle('viewer-zoomed', this.zoom > 1);
    this.draw();
  }

  fit() { Object.assign(this, {x: .5, y: .5, zoom: 1}); this.place(); }
  move(across, down) {
    const pane = this.panes[0];
    if (!pane?.w) return;
    const {scale} = this.frame(pane);
    this.x += across / (pane.picture.width * scale);
    this.y += down / (pane.picture.height * scale);
    this.place();
  }
  // Zoom by a factor; the place at (px, py) of a pane stays.
  zoomBy(factor, pane = this.panes[0], px = pane?.w / 2, py = pane?.h / 2) {
    if (!pane?.w) return;
    const before = this.frame(pane), {picture, w, h} = pane;
    const [u, v] = [(px - before.left) / picture.width / before.scale, (py - before.top) / picture.height / before.scale];
    this.zoom = between(this.zoom * factor, 1, Math.max(1, 48 * this.zoom / before.scale));
    const {scale} = this.frame(pane);
    this.x = u - (px - w / 2) / picture.width / scale;
    this.y = v - (py - h / 2) / picture.height / scale;
    this.place();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.say(`Zoom ${this.host.querySelector('.viewer-percent').textContent}`), 400);
  }

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.panes.forEach(pane => { if (pane.w) this.paint(pane); });
    });
  }

  paint(pane) {
    const {pen, w, h, picture} = pane, reference = this.picture('reference');
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    let name = picture.name, note = '', seen = picture;
    if (this.mode === 'slider') {
      const right = this.picture('right');
      if (this.blinking) seen = this.odd ? right : picture;
      name = this.blinking ? seen.name : `${picture.name} | ${right.name}`;
      this.divider.hidden = this.blinking;
      this.blit(pane, seen, 0, w);
      if (!this.blinking) {
        const edge = this.split * w;
        this.blit(pane, right, edge, w);
        this.divider.style.left = `${pane.canvas.offsetLeft + edge}px`;
        this.divider.style.top = `${pane.canvas.offsetTop}px`;
        this.divider.setAttribute('aria-valuenow', Math.round(100 * this.split));
      }
    } else if (this.mode === 'difference') {
      const {heat} = pane;
      if (heat && !this.odd) seen = heat;
      note = heat ? `mean ${heat.mean.toFixed(1)}${w < 280 ? '' : `, max ${heat.max.toFixed(0)}`}${heat.resized ? ', resized' : ''}` : '…';
      this.blit(pane, heat ? seen : null, 0, w);
    } else {
      if (this.odd && reference) [seen, name] = [reference, reference.name];
      note = w < 220 ? '' : `${seen.width} × ${seen.height}`;
      this.blit(pane, seen, 0, w);
    }
    if (this.lens) note = this.drawLens(pane, seen) || note;
    if (pane.said === name + note) return;
    pane.said = name + note;
    [pane.title.textContent, pane.note.textContent] = [name, note];
    pane.canvas.setAttribute('aria-label', this.mode === 'difference' ? `Difference of ${name}, ${note}` : name);
  }

  // Draw a picture between two edges of a pane, in screen pixels. All pictures have the place of the pane's own.
  blit({pen, picture, w, h}, seen, from, to) {
    if (!seen?.levels || to <= from) return;
    const {scale, left, top} = this.frame({picture, w, h});
    const width = picture.width * scale, height = picture.height * scale;
    const [x0, x1] = [Math.max(from, left), Math.min(to, left + width)], [y0, y1] = [Math.max(0, top), Math.min(h, top + height)];
    if (x1 <= x0 || y1 <= y0) return;
    const own = width * this.ratio / seen.width;
    const level = seen.levels[between(Math.floor(Math.log2(1 / own)), 0, seen.levels.length - 1)];
    const across = level.width / width, down = level.height / height;
    pen.imageSmoothingEnabled = own < PIXELATED;
    pen.drawImage(level, (x0 - left) * across, (y0 - top) * down, (x1 - x0) * across, (y1 - y0) * down,
      x0, y0, x1 - x0, y1 - y0);
  }

  drawLens(pane, seen) {
    const {pen, picture, w, h} = pane, {scale, left, top} = this.frame(pane), {u, v} = this.lens;
    const [px, py] = [left + u * picture.width * scale, top + v * picture.height * scale];
    const x = between(Math.floor(u * seen.width), 0, seen.width - 1), y = between(Math.floor(v * seen.height), 0, seen.height - 1);
    const size = Math.max(8, 4 * scale * picture.width / seen.width), level = seen.levels?.[0];
    if (!level) return '';
    pen.save();
    pen.beginPath();
    pen.arc(px, py, LENS, 0, 2 * Math.PI);
    pen.fillStyle = '#222';
    pen.fill();
    pen.clip();
    pen.imageSmoothingEnabled = false;
    const reach = LENS / size, sx = u * seen.width - reach, sy = v * seen.height - reach;
    pen.drawImage(level, sx, sy, 2 * reach, 2 * reach, px - LENS, py - LENS, 2 * LENS, 2 * LENS);
    pen.strokeStyle = '#fff';
    pen.strokeRect(px + (x - u * seen.width) * size, py + (y - v * seen.height) * size, size, size);
    pen.restore();
    [['#000', 3], ['#fff', 1.5]].forEach(([colour, line]) => {
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      pen.beginPath();
      pen.arc(px, py, LENS, 0, 2 * Math.PI);
      pen.stroke();
    });
    if (seen.values) return `(${x}, ${y})  ${seen.values[y * seen.width + x]}`;
    const data = pixelsOf(seen), at = 4 * (y * seen.width + x);
    return `(${x}, ${y})  ${data[at]} ${data[at + 1]} ${data[at + 2]}`;
  }
}
