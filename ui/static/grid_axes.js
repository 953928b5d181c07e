// The axes of a grid. Choices of a parameter are buttons that put their value into the list, or take it out.
const PAUSE = 350;  // milliseconds after the last key until the plan is asked for
const current = () => JSON.parse(JSON.stringify(props.value || {}));
const cardOf = key => (props.known || []).find(one => one.key === key);
const entriesOf = text => text.match(/"[^"]*"|[^,]+/g)?.map(one => one.trim()).filter(Boolean) || [];
let later = 0;
const plan = () => {
  clearTimeout(later);
  later = setTimeout(() => trigger('planned'), PAUSE);
};
const write = (axis, key, text) => {
  const value = current();
  value[axis] = [key, text];
  props.value = value;
  window.hub?.keep(host, 'axes', value);
  plan();
};
const show = () => element.querySelectorAll('.axis').forEach(row => {
  const [key, text] = current()[row.dataset.axis] || ['', ''];
  const [menu, input, chips, help] = row.querySelectorAll('select, input, .chips, small');
  const card = cardOf(key), chosen = entriesOf(text).map(one => one.toLowerCase());
  if (menu.value !== key) menu.value = key;
  if (input.value !== text && document.activeElement !== input) input.value = text;
  input.hidden = !key;
  input.placeholder = card?.choices.length ? 'empty: all of them' : '28, 300';
  help.textContent = card?.help || '';
  const offered = (card?.choices || []).filter(([entry]) => key !== 'method' || !(props.lacking || []).includes(entry));
  chips.replaceChildren(...offered.map(([entry, label]) => {
    const chip = Object.assign(document.createElement('button'), {type: 'button', textContent: label});
    chip.dataset.entry = entry;
    chip.setAttribute('aria-pressed', [entry, label].some(one => chosen.includes(one.toLowerCase())));
    return chip;
  }));
});
element.addEventListener('change', event => {
  const row = event.target.closest('.axis');
  if (!row || event.target.tagName !== 'SELECT') return;
  row.querySelector('input').value = '';
  write(row.dataset.axis, event.target.value, '');
  show();
});
element.addEventListener('input', event => {
  const row = event.target.closest('.axis');
  if (!row || event.target.tagName !== 'INPUT') return;
  write(row.dataset.axis, row.querySelector('select').value, event.target.value);
  show();
});
element.addEventListener('click', event => {
  const chip = event.target.closest('.chips button'), row = event.target.closest('.axis');
  if (!chip) return;
  const [key, text] = current()[row.dataset.axis], names = [chip.dataset.entry.toLowerCase(), chip.textContent.toLowerCase()];
  const entries = entriesOf(text), left = entries.filter(one => !names.includes(one.toLowerCase()));
  const list = (left.length < entries.length ? left : [...entries, chip.dataset.entry]).join(', ');
  const at = [...row.querySelectorAll('.chips button')].indexOf(chip);
  row.querySelector('input').value = list;
  write(row.dataset.axis, key, list);
  show();
  row.querySelectorAll('.chips button')[at]?.focus();
});
// The page's own first list of methods leaves out those that the model cannot run; a person's list stays.
const untouched = props.value.x[1];
watch('first', () => {
  const [key, text] = current().x || [];
  if (key === 'method' && text === untouched && text !== props.first) write('x', key, props.first);
});
watch(['rows', 'value', 'known', 'lacking', 'restored'], show);
const host = element.closest('[id$=-axes]').id.replace(/-axes$/, '');
props.value = window.hub?.held(host, 'axes') || props.value;
watch('restored', plan);
show();
element.dataset.listens = '';  // what is typed before is lost: tests wait for it
