watch('value', () => Object.entries(props.value || {}).forEach(([name, html]) => {
  if (!name) {
    const yours = element.querySelector('.yours'), open = yours.querySelector('.models')?.open ?? true;
    yours.innerHTML = html;
    if (!open) yours.querySelector('.models')?.removeAttribute('open');
    return;
  }
  const row = document.getElementById('model-' + name);
  if (!row) return;
  const notes = row.querySelector('details')?.open;
  row.innerHTML = html;
  if (notes) row.querySelector('details').open = true;
}));
element.addEventListener('click', event => {
  const button = event.target.closest('.model button');
  if (!button) return;
  const name = button.closest('.model').id.slice('model-'.length);
  if (!('remove' in button.dataset)) trigger('press', {name});
  else if (confirm(`Remove ${name} from this computer? Your original file is not touched.`)) trigger('remove', {name});
});
