// Several pictures at once, and pictures from the clipboard. An upload takes one picture: when a person gives more, the
// first goes into it, and all stay in a strip until the page is left. Nothing is sent before a picture is chosen.
const MAX_IN_STRIP = 24;
const strips = {};  // key of a tab -> [{file, url}]
const isPicture = file => file.type.startsWith('image/') || /\.(heic|heif|avif)$/i.test(file.name);
const keyOf = target => {
  const key = target.closest?.('[id$=-picture]')?.id.replace(/-picture$/, '');
  return TARGETS.some(one => one.key === key && key !== 'compare') ? key : null;
};
const openKey = () => {
  const {tabId} = document.querySelector('[role=tab][aria-selected=true]')?.dataset || {};
  return TARGETS.some(one => one.key === tabId) ? tabId : TARGETS[0].key;
};

const writeStrip = async (key, chosen) => {
  const place = await when(() => document.querySelector(`#${key}-offer .strip`));
  const given = strips[key];
  place.hidden = !given.length;
  place.replaceChildren(...given.map(({file, url}, i) => {
    const button = Object.assign(document.createElement('button'), {type: 'button', title: file.name});
    button.setAttribute('aria-label', `Picture ${i + 1} of ${given.length}: ${file.name}`);
    button.setAttribute('aria-pressed', i === chosen);
    button.append(Object.assign(new Image(), {src: url, alt: `${i + 1}`, loading: 'lazy'}));
    button.addEventListener('click', () => sendPicture({name: file.name, file}, key));
    return button;
  }));
};
// Marks the picture of a strip that the upload has now, if it is one of the strip.
const markInStrip = (key, file) => document.querySelectorAll(`#${key}-offer .strip button`).forEach((button, i) => {
  button.setAttribute('aria-pressed', strips[key][i].file === file);
});
// Keeps the pictures of a choice for a tab; gives the first one.
const keepSeveral = (key, files) => {
  const given = [...files].filter(isPicture).slice(0, MAX_IN_STRIP);
  (strips[key] || []).forEach(({url}) => URL.revokeObjectURL(url));
  strips[key] = given.length > 1 ? given.map(file => ({file, url: URL.createObjectURL(file)})) : [];
  writeStrip(key, 0);
  return given[0];
};

document.addEventListener('click', event => {
  const key = keyOf(event.target);
  if (key) document.querySelectorAll(`#${key}-picture input[type=file]`).forEach(input => { input.multiple = true; });
}, true);
document.addEventListener('change', event => {
  const {target} = event, key = target.type === 'file' && target.files.length && keyOf(target);
  if (!key) return;
  if (target.files.length === 1) return markInStrip(key, sources.get(target.files[0]) || target.files[0]);
  const first = keepSeveral(key, target.files), only = new DataTransfer();
  if (first) only.items.add(first);
  target.files = only.files;
}, true);
document.addEventListener('click', event => {
  const [, key] = event.target.closest?.('[id$=-examples] button')?.closest('[id$=-examples]').id.match(/(.*)-examples$/) || [];
  if (key) markInStrip(key, null);
}, true);
document.addEventListener('drop', event => {
  const key = keyOf(event.target), {files} = event.dataTransfer;
  if (!key || files.length < 2 || ![...files].some(isPicture)) return;
  event.preventDefault();
  event.stopPropagation();
  const file = keepSeveral(key, files);
  sendPicture({name: file.name, file}, key);
}, true);
document.addEventListener('paste', event => {
  const files = [...event.clipboardData?.files || []].filter(isPicture);
  if (!files.length) return;
  event.preventDefault();
  const key = openKey(), file = files.length > 1 ? keepSeveral(key, files) : files[0];
  sendPicture({name: file.name, file}, key);
});

// Gradio forgets a press on "capture photo" that comes before the first frame of the camera: press again at that frame.
document.addEventListener('click', event => {
  const button = event.target.closest?.('button:is([aria-label="capture photo"], [data-english="capture photo"])');
  const video = button?.closest('[data-testid=image]')?.querySelector('video');
  if (!video || video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) return;
  event.stopImmediatePropagation();
  video.onloadeddata = () => { video.onloadeddata = null; button.click(); };
}, true);
