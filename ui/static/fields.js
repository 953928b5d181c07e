const tab = element.closest('[id$=-fields]').id.replace(/-fields$/, '');
// What was typed. `props.value` may become older again: by an answer of the server that was already on its way.
let own = window.hub?.held(tab, 'typed') || props.value || {};
const current = () => JSON.parse(JSON.stringify(own));
const write = (input, value) => {
  if (input.type === 'checkbox') input.checked = value;
  else if (input.tagName === 'SELECT') input.value = JSON.stringify(value);
  else input.value = value === null ? '' : value;
};
const read = input => {
  if (input.type === 'checkbox') return input.checked;
  if (input.tagName === 'SELECT') return JSON.parse(input.value);
  if (input.type === 'text') return input.value;
  return input.value === '' ? null : Number(input.value);
};
const show = () => {
  const value = current();
  element.querySelectorAll('.field').forEach(row => {
    const {method, field, first} = row.dataset;
    const typed = (value[method] || {})[field];
    row.querySelectorAll('input, select').forEach(i => write(i, typed === undefined ? JSON.parse(first) : typed));
  });
};
element.addEventListener('input', event => {
  const row = event.target.closest('.field');
  if (!row) return;
  const {method, field} = row.dataset;
  const value = current(), typed = read(event.target);
  row.querySelectorAll('input, select').forEach(i => { if (i !== event.target) write(i, typed); });
  value[method] = {...value[method], [field]: typed};
  own = props.value = value;
  window.hub?.keep(tab, 'typed', value);
});
const keep = () => {
  if (JSON.stringify(props.value) !== JSON.stringify(own)) props.value = current();
  show();
};
watch('restored', () => { own = props.value || {}; });
watch(['rows', 'value', 'restored'], keep);
keep();
trigger('mounted');
element.dataset.listens = '';  // what is typed before is lost: tests wait for it
