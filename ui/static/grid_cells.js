// The tables of a grid: made once for its axes, then each cell is written when its run changes.
const host = element.querySelector('.cells-host');
const make = (tag, className = '', text = '') => Object.assign(document.createElement(tag), {className, textContent: text});
let made = '', boxes = [], figure = '', chosen = '';
const fileUrl = file => file?.url || '';
// The values of a cell, z first as its tables stand.
const placeOf = (axes, cell) => {
  const sizes = axes.map(axis => axis.values.length);
  return axes.map((axis, i) => Math.floor(cell / sizes.slice(0, i).reduce((a, b) => a * b, 1)) % sizes[i]);
};
const nameOf = (axes, cell) => placeOf(axes, cell).map((at, i) => axes[i].values[at]).join(', ');
const tableOf = (axes, z) => {
  const table = make('table'), [x, y] = axes, across = x.values.length, down = y?.values.length || 1;
  const head = table.createTHead().insertRow();
  const corner = make('th', 'corner');
  corner.append(make('span', 'across', x.label), ...y ? [make('span', 'down', y.label)] : []);
  head.append(corner, ...x.values.map(text => Object.assign(make('th', '', text), {scope: 'col'})));
  const body = table.createTBody();
  for (let j = 0; j < down; j += 1) {
    const row = body.insertRow();
    row.append(Object.assign(make('th', '', y ? y.values[j] : ''), {scope: 'row'}));
    for (let i = 0; i < across; i += 1) {
      const button = Object.assign(make('button', 'cell'), {type: 'button'});
      button.append(make('span', 'cell-picture'), make('span', 'cell-text'));
      row.insertCell().append(button);
      boxes[(z * down + j) * across + i] = button;
    }
  }
  return table;
};
const build = ({axes, figures}) => {
  boxes = [];
  const bar = make('div', 'cells-bar'), menu = make('select'), label = make('label', '', 'Figure '), strip = make('div', 'originals');
  menu.replaceChildren(...figures.map(([key, text]) => new Option(text, key)));
  menu.addEventListener('change', () => { chosen = menu.value; show(); });
  label.append(menu);
  bar.append(strip, label);
  const box = make('div', 'cells-scroll'), deep = axes[2];
  box.tabIndex = 0;
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'Cells of the grid');
  (deep?.values || [null]).forEach((text, z) => {
    if (deep) box.append(make('h3', '', `${deep.label}: ${text}`));
    box.append(tableOf(axes, z));
  });
  host.replaceChildren(bar, box);
};
const writeCell = (cell, value) => {
  const {axes, runs, best, originals, original} = value, at = value.cells[cell], run = runs[at], button = boxes[cell];
  const name = nameOf(axes, cell), [picture, text] = button.children, url = fileUrl(run.small);
  button.classList.toggle('best', (best[figure] || []).includes(cell));
  button.dataset.state = run.state;
  if (picture.dataset.url !== url) {
    picture.dataset.url = url;
    picture.replaceChildren(...(url ? [Object.assign(new Image(), {src: url, alt: '', loading: 'lazy'})] : []));
  }
  const first = originals[original[at]];
  const said = [run.figures?.[figure], run.note].filter(Boolean).join(', ');
  if (text.textContent !== said) text.textContent = said;
  button.title = run.state === 'failed' ? run.note : '';
  button.disabled = !url && run.state !== 'failed';
  button.setAttribute('aria-label', `${name}: ${said}${url ? '. Compare closely' : ''}`);
  if (!url) return;
  Object.assign(button.dataset, {compare: 'grid', name, url: fileUrl(run.picture), small: url,
    show: JSON.stringify([...(first ? [`grid/${first.name}`] : []), `grid/${name}`])});
};
const show = () => {
  const {value} = props;
  if (!value?.axes) return;
  const layout = JSON.stringify([value.key, value.axes, value.figures]);
  if (made !== layout) build(value);
  made = layout;
  const menu = host.querySelector('select'), strip = host.querySelector('.originals');
  figure = [...menu.options].some(one => one.value === chosen) ? chosen : menu.options[0].value;
  menu.value = figure;
  if (strip.children.length !== value.originals.length) strip.replaceChildren(...value.originals.map(one => {
    const box = make('figure'), image = Object.assign(new Image(), {src: fileUrl(one.small), alt: ''});
    Object.assign(image.dataset, {original: '', name: one.name, url: fileUrl(one.picture), small: fileUrl(one.small)});
    box.append(image, make('figcaption', '', one.name));
    return box;
  }));
  value.cells.forEach((run, cell) => writeCell(cell, value));
};
watch('value', show);
show();
