// Asks the server to fill the fields of this tab: with what they held before a reload, or with those of a run.
// One question at a time: the answer to an earlier one never comes last.
const PATIENCE = 15_000;  // milliseconds
let turn = Promise.resolve(), answered = () => {};
const ask = detail => {
  turn = turn.then(() => new Promise(done => {
    answered = done;
    setTimeout(done, PATIENCE);
    trigger('reopened', {detail});
  }));
};
element.addEventListener('reopen', event => ask(event.detail));
watch('answered', () => {
  const {form, key, events} = props.answered || {};
  answered();
  window.hub?.listen(props.tab, form);
  Object.entries(events || {}).forEach(([name, field]) => window.hub?.fill(field, () => trigger(name, {key})));
});
const begin = () => {
  if (!window.hub) return setTimeout(begin, 100);
  const form = window.hub.begin(props.tab);
  if (form) ask({form});
  element.dataset.listens = '';
};
begin();
