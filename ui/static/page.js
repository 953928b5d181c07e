() => {
  // When a run starts, bring its status line into view: on a phone the results are below the controls.
  document.addEventListener('click', event => {
    const button = event.target.closest?.('[id$=-run]');
    const status = () => document.getElementById(button.id.replace(/run$/, 'status'));
    if (!button || !status()) return;
    const before = status().innerText;
    let looks = 0;
    const timer = setInterval(() => {
      if (++looks > 100) clearInterval(timer);  // a refused run changes no status
      if (status().innerText === before) return;
      clearInterval(timer);
      const {top, bottom} = status().getBoundingClientRect();
      if (top < 0 || bottom > window.innerHeight * 0.6) status().scrollIntoView({behavior: 'smooth', block: 'start'});
    }, 100);
  });
  // The server knows a job only after it has answered Run. A Cancel that comes earlier is repeated then.
  let forget = () => {};
  document.addEventListener('click', event => {
    const run = event.target.closest?.('[id$=-run]');
    const [status, cancel] = run ? ['status', 'cancel'].map(it => document.getElementById(run.id.replace(/run$/, it))) : [];
    if (!status || !cancel) return;
    forget();
    const idle = !status.querySelector('.bar');
    let wanted = false;
    const want = () => { wanted = true; };
    const watch = new MutationObserver(() => {
      if (!status.querySelector(idle ? '.bar' : '.begun')) return;
      forget();
      if (wanted) cancel.click();
    });
    const timer = setTimeout(() => forget(), 120_000);
    forget = () => { watch.disconnect(); cancel.removeEventListener('click', want); clearTimeout(timer); };
    watch.observe(status, {childList: true, subtree: true});
    cancel.addEventListener('click', want);
  });
  // Gradio gives no names to thumbnails, no role to empty galleries, and neither to the handle of a comparison.
  const HANDLE = '.outer[data-testid=slider]';
  const WRONG = /^Invalid file types?: (.*)\. Only (.*) allowed\.$/;  // Gradio's own message
  const REFUSED = /^HTTP \d+: (\{.*\})$/;  // an upload that the server has refused
  const reword = () => document.querySelectorAll('[data-testid=toast-text]').forEach(text => {
    const [all, file, types] = text.textContent.trim().match(WRONG) || [];
    if (all) text.textContent = `${file}: this type of file cannot be used here. Choose ${
      types.includes('image/') ? 'a picture: PNG, JPEG or WebP' : `one of these types: ${types}`}.`;
    const [, answer] = text.textContent.trim().match(REFUSED) || [];
    if (answer) text.textContent = JSON.parse(answer).detail;
  });
  const name = () => {
    document.querySelectorAll('.empty[aria-label]:not([role])').forEach(box => box.setAttribute('role', 'img'));
    document.querySelectorAll('[id$=-examples] .gallery').forEach(strip =>
      strip.querySelectorAll('.gallery-item:not([aria-label])').forEach(button =>
        button.setAttribute('aria-label', `Example ${[...strip.children].indexOf(button) + 1}`)));
    document.querySelectorAll(`${HANDLE}:not([tabindex])`).forEach(handle => {
      const facts = {role: 'slider', tabindex: 0, 'aria-label': 'Compare the left and the right picture',
        'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': 50};
      handle.querySelectorAll('.icon').forEach(icon => icon.setAttribute('aria-hidden', 'true'));
      Object.entries(facts).forEach(([key, value]) => handle.setAttribute(key, value));
    });
  };
  let waiting = false;
  new MutationObserver(() => {
    reword();
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; name(); }, 250);
  }).observe(document.body, {childList: true, subtree: true});
  name();
  document.addEventListener('keydown', event => {
    const handle = event.target.closest?.(HANDLE);
    const step = {ArrowLeft: -0.05, ArrowRight: 0.05}[event.key];
    if (!handle || !step) return;
    event.preventDefault();
    const frame = handle.parentElement.getBoundingClientRect(), bar = handle.getBoundingClientRect();
    const from = bar.left + bar.width / 2, clientY = bar.top + bar.height / 2;
    const to = Math.min(frame.right - 1, Math.max(frame.left + 1, from + step * frame.width));
    [['mousedown', from, handle], ['mousemove', to, window], ['mouseup', to, window]].forEach(([type, clientX, target]) =>
      target.dispatchEvent(new MouseEvent(type, {bubbles: true, cancelable: true, view: window, clientX, clientY})));
    handle.setAttribute('aria-valuenow', Math.round(100 * (to - frame.left) / frame.width));
  });
}
