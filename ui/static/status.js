// In the background, a phone freezes a page and ends its connection. Follow the job again when the page is shown.
const AWAY = 10_000, PATIENCE = 15_000, LOST = 5_000;  // milliseconds
const running = () => element.querySelector('.bar') !== null;
let left = 0, ran = false;
new MutationObserver(() => {
  if (ran && !running()) document.dispatchEvent(new Event('hub:over'));  // the line of one's own jobs asks again
  ran = running();
}).observe(element, {childList: true, subtree: true});
const back = () => {
  if (!left || Date.now() - left < AWAY || !running()) return;
  left = 0;
  const before = element.innerText;
  trigger('back');
  setTimeout(() => {
    if (!running() || element.innerText !== before || element.querySelector('.reload')) return;
    const button = Object.assign(document.createElement('button'), {type: 'button', className: 'reload'});
    button.textContent = 'No news from the server. Reload the page';
    element.querySelector('.status').append(button);
  }, PATIENCE);
};
document.addEventListener('visibilitychange', () => { if (document.hidden) left = Date.now(); else back(); });
window.addEventListener('offline', () => { left ||= Date.now() - AWAY; });
window.addEventListener('online', back);
element.addEventListener('click', event => {
  if (event.target.closest('.again')) {
    // Gradio loses an answer that comes while it closes the stream of the one before: then ask where the job is.
    const before = element.innerText;
    trigger('again');
    setTimeout(() => { if (element.innerText === before) trigger('back'); }, LOST);
  }
  if (event.target.closest('.reload')) location.reload();
});
