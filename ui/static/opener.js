// Asks the server to fill the fields of this tab: with what they held before a reload, or with those of a run.
const ask = detail => trigger('reopened', {detail});
element.addEventListener('reopen', event => ask(event.detail));
watch('answered', () => {
  const {form, key, whole} = props.answered || {};
  window.hub?.listen(props.tab, form);
  if (key) trigger('fetched', {key});
  if (key && whole) trigger('refetched', {key});
});
const begin = () => {
  if (!window.hub) return setTimeout(begin, 100);
  const form = window.hub.begin(props.tab);
  if (form) ask({form});
  element.dataset.listens = '';
};
begin();
