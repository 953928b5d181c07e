const PAUSE = 50;  // milliseconds
const rows = () => element.querySelectorAll('.move');
const show = (row, value) => {
  row.querySelector('[type=range]').value = value;
  row.querySelector('[type=number]').value = row.querySelector('[type=range]').value;
};
let waiting = null;
const send = () => {
  clearTimeout(waiting);
  waiting = null;
  const moves = {};
  rows().forEach(row => {
    const slider = row.querySelector('[type=range]');
    if (Number(slider.value)) moves[slider.name] = Number(slider.value);
  });
  props.value = moves;
  trigger('move');
};
element.addEventListener('input', event => {
  const row = event.target.closest('.move');
  if (!row || event.target.type !== 'range') return;
  show(row, event.target.value);
  // During a drag too, but not for every pixel; the server drops all but the newest that wait.
  waiting ??= setTimeout(send, PAUSE);
});
element.addEventListener('change', event => {
  const row = event.target.closest('.move');
  if (!row) return;
  show(row, event.target.value || 0);
  send();
});
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  const row = button.closest('.move');
  (row ? [row] : rows()).forEach(row => show(row, 0));
  send();
});
watch('value', () => rows().forEach(row => {
  show(row, (props.value || {})[row.querySelector('[type=range]').name] || 0);
}));
