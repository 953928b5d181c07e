watch('value', () => Object.entries(props.value || {}).forEach(([name, html]) => {
  const row = document.getElementById('model-' + name);
  if (!row) return;
  const notes = row.querySelector('details')?.open;
  row.innerHTML = html;
  if (notes) row.querySelector('details').open = true;
}));
element.addEventListener('click', event => {
  const button = event.target.closest('.model button');
  if (button) trigger('press', {name: button.closest('.model').id.slice('model-'.length)});
});
