// Opens what the server has found: a run of a link, or the settings of a file. Files are read in this browser.
element.addEventListener('recipe', event => trigger('dropped', {text: event.detail}));
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button?.matches('.close')) element.querySelector('.note').remove();
  if (button?.matches('.take')) window.hub.takeOffered();
});
watch('opened', () => {
  const {tab, link, ...detail} = props.opened || {};
  const open = () => (window.hub ? window.hub.open(tab, detail) : setTimeout(open, 100));
  if (tab) open();
  if (link) history.replaceState(null, '', location.pathname);  // a reload shows what the tab shows then
});
element.dataset.listens = '';
