const PATIENCE = 1500;  // milliseconds, for an answer that may be lost
const rows = () => element.querySelectorAll('.move');
const show = (row, value) => {
  row.querySelector('[type=range]').value = value;
  row.querySelector('[type=number]').value = row.querySelector('[type=range]').value;
};
const read = () => {
  const moves = {};
  rows().forEach(row => {
    const slider = row.querySelector('[type=range]');
    if (Number(slider.value)) moves[slider.name] = Number(slider.value);
  });
  props.value = moves;
};
// During a drag, the server shows pictures without figures: the newest position, as soon as it has shown the one before.
// When the hand rests, it shows all.
let lost = null, next = null, dragging = false;
const mark = on => {
  dragging = on;
  element.closest('.stage')?.classList.toggle('dragging', on);
};
const send = () => {
  read();
  if (next === 'move') {
    mark(false);
    next = null;
    trigger('move');
    return;
  }
  trigger('drag', {first: !dragging});
  mark(true);
  next = null;
  lost = setTimeout(answered, PATIENCE);
};
const answered = () => {
  clearTimeout(lost);
  lost = null;
  if (next) send();
};
const want = kind => {
  if (next !== 'move') next = kind;
  if (!lost) send();
};
element.addEventListener('input', event => {
  const row = event.target.closest('.move');
  if (!row || event.target.type !== 'range') return;
  show(row, event.target.value);
  want('drag');
});
element.addEventListener('change', event => {
  const row = event.target.closest('.move');
  if (!row) return;
  show(row, event.target.value || 0);
  want('move');
});
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  const row = button.closest('.move');
  (row ? [row] : rows()).forEach(row => show(row, 0));
  want('move');
});
element.addEventListener('drawn', () => { if (lost) answered(); });
watch('value', () => rows().forEach(row => {
  show(row, (props.value || {})[row.querySelector('[type=range]').name] || 0);
}));
