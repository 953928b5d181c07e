// Buttons of the list of runs. Times are shown as this browser writes them.
const show = () => element.querySelectorAll('time').forEach(time => {
  time.textContent = new Date(time.dateTime).toLocaleString([], {dateStyle: 'medium', timeStyle: 'short'});
});
const open = (entry, detail = {}) => window.hub.open(entry.dataset.tab, {key: entry.dataset.key, ...detail});
element.addEventListener('click', async event => {
  const button = event.target.closest('button'), entry = event.target.closest('.past');
  const action = button?.dataset.do;
  if (!action) {
    if (entry && event.target.matches('img')) open(entry);
    return;
  }
  if (action === 'file') window.hub.choose();
  if (action === 'open') open(entry);
  if (action === 'again') open(entry, {run: true});
  if (action === 'delete' && confirm('Delete this run?')) trigger('deleted', {key: entry.dataset.key});
  if (action === 'all' && confirm('Delete all runs of this browser that are over?')) trigger('deleted', {});
  if (action !== 'link') return;
  const address = `${location.origin}${location.pathname}?run=${entry.dataset.key}`;
  const copied = await navigator.clipboard?.writeText(address).then(() => true, () => false);
  if (!copied) prompt('The link of this run:', address);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy link'; }, 2000);
});
element.addEventListener('change', event => {
  const [kind, key] = event.target.value.split(':');
  event.target.value = '';
  if (key) open(event.target.closest('.past'), {run: true, [kind]: key});
});
let renewing = 0;
const renew = () => {  // while a run goes on and the list is in view
  clearTimeout(renewing);
  if (!element.querySelector('.running')) return;
  renewing = setTimeout(() => { if (element.checkVisibility()) trigger('renewed'); }, 3000);
};
watch('rows', () => { show(); renew(); });
show();
