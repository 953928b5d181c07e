// Asks the server to fill the fields of this tab: with what they held before a reload, or with those of a run.
// One question at a time: the answer to an earlier one never comes last.
const PATIENCE = 20_000, AGAIN = 6_000;  // milliseconds; a lost answer is asked for again, but nothing runs twice
let turn = Promise.resolve(), answered = () => {};
const ask = detail => {
  turn = turn.then(() => new Promise(done => {
    const send = () => trigger('reopened', {detail});
    const again = detail.run ? 0 : setInterval(send, AGAIN);
    answered = () => { clearInterval(again); done(); };
    setTimeout(answered, PATIENCE);
    send();
  }));
};
element.addEventListener('reopen', event => ask(event.detail));
watch('answered', () => {
  const {form, key, events} = props.answered || {};
  answered();
  window.hub?.listen(TAB, form);
  Object.entries(events || {}).forEach(([name, field]) => window.hub?.fill(field, () => trigger(name, {key})));
});
const begin = async () => {
  if (!window.hub) return setTimeout(begin, 100);
  const detail = await window.hub.begin(TAB);
  if (detail) ask(detail);
  element.dataset.listens = '';
};
begin();
