// What a tab held comes back: after a reload from this browser's storage, by a link, from the history, or from a file.
const formName = key => `inversion-hub-form-${key}`;
const OPEN_TAB = 'inversion-hub-tab', LARGEST = 32 * 2 ** 20;  // bytes of a picture that the browser keeps
const listening = new Set(), expected = new Set();  // keys of tabs: changes are kept; a run will be opened
const opened = new Set();  // keys of tabs that open a run: its results come into view
const showResults = key => {
  const status = document.getElementById(`${key}-status`), {top, bottom} = status.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight * .6) status.scrollIntoView({behavior: 'smooth', block: 'start'});
};
const storedPicture = {};  // key -> the picture that was stored last
const seenPicture = {};  // key -> the picture that was seen last
const askedRun = {};  // key -> the stored key of the results when Run was pressed
const storedRun = key => localStorage.getItem(`inversion-hub-${key}`);

// One picture a tab, in the browser's own database.
const database = (mode, work) => new Promise((resolve, reject) => {
  const opening = indexedDB.open('inversion-hub', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('pictures');
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asked = work(opening.result.transaction('pictures', mode).objectStore('pictures'));
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  };
}).catch(() => undefined);  // a private window may have none
const keepPicture = async key => {
  const picture = pictureIn(key), mark = picture?.file || picture?.url || '';
  if (!listening.has(key) || storedPicture[key] === mark || (!mark && filled(key))) return;
  if (![undefined, mark].includes(seenPicture[key])) {
    window.hub.keep(key, 'ran', false);
    delete askedRun[key];
  }
  seenPicture[key] = mark;
  if (!mark) {
    storedPicture[key] = mark;
    return database('readwrite', store => store.delete(key));
  }
  const name = decodeURIComponent(picture.url?.split('/').at(-1) || picture.file?.name || 'picture.png');
  const blob = picture.file || await (await fetch(picture.url)).blob();
  if (blob.size <= LARGEST) await database('readwrite', store => store.put({name, blob}, key));
  storedPicture[key] = mark;
};
const restorePicture = async (key, kept) => {
  const ends = () => expected.has(key) || filled(key);
  if (!kept || ends()) return;
  await givePicture(key, new File([kept.blob], kept.name, {type: kept.blob.type}), ends).catch(() => {});
};
const restoring = {};  // key -> a promise: the picture that was stored has come
// Lets the server fill a field for pictures once it is there, and asks again if the picture does not come.
const fieldHolds = field => Boolean(field?.querySelector('.image-frame img, .file-preview')
  || (field?.querySelector('canvas') && !field.querySelector('.empty')?.checkVisibility()));
const arrivals = {};  // id of a field -> number of answers that have filled it
const fill = async (id, ask) => {
  const field = () => document.getElementById(id), before = arrivals[id] || 0;
  const ready = () => (field()?.matches('.drawing-canvas') ? field().dataset.pen
    : field()?.querySelector('canvas, input, .image-frame img, .file-preview'));
  const came = () => (arrivals[id] || 0) > before && fieldHolds(field());
  if (id) await when(ready, Infinity);  // a field is there only while its tab and its kind of input are shown
  for (let tries = 0; tries < 4; tries += 1) {
    ask();
    if (!id || await when(came, 5000).catch(() => false)) return;
  }
};
const arrived = id => {
  arrivals[id] = (arrivals[id] || 0) + 1;
  const key = id.replace(/-picture$/, '');
  if (editorOf(key)) {  // the picture of a run: it is asked for again after a reload
    delete chosenPictures[key];
    delete storedPicture[key];
    delete seenPicture[key];
    database('readwrite', store => store.delete(key));
  }
  const field = document.getElementById(id);
  if (field) field.dataset.filled = arrivals[id];
};
const openerOf = tab => document.querySelector(`#${tab}-opener [data-listens], #${tab}-opener[data-listens]`);
setInterval(() => {
  const shown = document.querySelector('[role=tab][aria-selected=true]')?.dataset.tabId;
  if (listening.has(shown)) keepPicture(shown);
  if (shown in askedRun && storedRun(shown) !== askedRun[shown]) {
    window.hub.keep(shown, 'ran', true);
    delete askedRun[shown];
  }
}, 1000);

window.hub = {
  // What to ask for after a reload: {form, ran}; null for nothing. See `ui.history.reopen`.
  begin: async key => {
    if (expected.has(key)) return null;
    const text = localStorage.getItem(formName(key)), held = database('readonly', store => store.get(key));
    restoring[key] = held.then(kept => restorePicture(key, kept)).finally(() => { if (!text) listening.add(key); });
    const form = text && JSON.parse(text), ran = form?.ran && (await held ? 'own' : 'all');
    return form && !expected.has(key) ? {form, ran} : null;
  },
  keep: (key, name, value) => {
    const form = JSON.parse(localStorage.getItem(formName(key)) || '{}');
    localStorage.setItem(formName(key), JSON.stringify({...form, [name]: value}));
  },
  // What a component that has just appeared has to show: it may have missed an update.
  held: (key, name) => JSON.parse(localStorage.getItem(formName(key)) || '{}')[name],
  listen: (key, form) => {
    if (form) localStorage.setItem(formName(key), JSON.stringify(form));
    setTimeout(() => listening.add(key), 500);  // after the changes that the answer itself has made
    if (opened.delete(key)) setTimeout(() => showResults(key), 500);
  },
  save: (key, names, values) => {
    if (!listening.has(key)) return;
    const form = {...JSON.parse(localStorage.getItem(formName(key)) || '{}'), options: {}, own: {}};
    names.forEach((name, i) => {
      const [group, inner] = name.split('.');
      if (inner) form[group][inner] = values[i]; else form[group] = values[i];
    });
    localStorage.setItem(formName(key), JSON.stringify(form));
  },
  open: async (tab, detail) => {
    expected.add(tab);
    tabButton(tab).click();
    const opener = await when(() => openerOf(tab));
    await restoring[tab];  // a picture of before the reload would come after that of the run
    opener.dispatchEvent(new CustomEvent('reopen', {detail}));
    expected.delete(tab);
    if (detail.key) opened.add(tab);
  },
  stored: key => Boolean(storedPicture[key]),
  took: (key, path) => {
    const root = (window.gradio_config?.root || '').replace(/\/$/, '');
    chosenPictures[key] = {url: `${root}/gradio_api/file=${path}`};
  },
  fill, arrived,
  takeOffered: () => { if (offeredText) sendRecipe(offeredText); },
  tabName,
  choose: () => chooser.click(),
};

// Files that hold a recipe: our PNG files have it in a text chunk before the pixels, JSON files are it.
const recipeOf = async file => {
  if (file.name.endsWith('.json')) return file.text();
  const bytes = new Uint8Array(await file.slice(0, 2 ** 20).arrayBuffer()), view = new DataView(bytes.buffer);
  if (bytes.length < 8 || view.getUint32(0) !== 0x89504e47) return '';
  const latin = new TextDecoder('latin1');
  for (let at = 8; at + 8 < bytes.length;) {
    const length = view.getUint32(at), kind = latin.decode(bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length), end = body.indexOf(0);
    if (kind === 'tEXt' && latin.decode(body.subarray(0, end)) === 'inversion') return latin.decode(body.subarray(end + 1));
    at += 12 + length;
  }
  return '';
};
let offeredText = '';
const reader = () => document.querySelector('#hub-reader [data-listens], #hub-reader[data-listens]');
const sendRecipe = text => {
  offeredText = '';
  reader().dispatchEvent(new CustomEvent('recipe', {detail: text}));
};
const say = html => {
  let note = reader().querySelector('.note');
  if (!note) note = reader().appendChild(Object.assign(document.createElement('div'), {className: 'note'}));
  note.innerHTML = `<span>${html}</span><button type="button" class="close" aria-label="Close this note">×</button>`;
};
const FIELDS = '.image-container, .upload-container, [data-testid=file-upload], .file-preview, button:has(input[type=file]), .viewer';
document.addEventListener('dragover', event => { if (!event.target.closest?.(FIELDS)) event.preventDefault(); });
document.addEventListener('drop', async event => {
  const file = event.dataTransfer?.files[0], inField = Boolean(event.target.closest?.(FIELDS));
  if (!inField) event.preventDefault();
  if (!file) return;
  const text = await recipeOf(file);
  if (text && !inField) return sendRecipe(text);
  if (text) {
    offeredText = text;
    return say('This file is a result of this page. <button type="button" class="take">Restore its settings</button>');
  }
  if (!inField) say('This file holds no settings of a run. Drop a picture on a field for pictures.');
}, true);
const chooser = Object.assign(document.createElement('input'), {type: 'file', accept: '.png,.json'});
chooser.addEventListener('change', async () => {
  const text = await recipeOf(chooser.files[0]);
  chooser.value = '';
  sendRecipe(text || '{}');
});

document.addEventListener('click', event => {
  const tab = event.target.closest?.('button[role=tab]')?.dataset.tabId;
  if (tab) sessionStorage.setItem(OPEN_TAB, tab);
  const run = event.target.closest?.('button[id$=-run]')?.id.replace(/-run$/, '');
  if (!listening.has(run)) return;
  keepPicture(run);
  askedRun[run] = storedRun(run);  // another one will be of the picture that is there now
});
const tabBefore = sessionStorage.getItem(OPEN_TAB);
if (tabBefore && !location.search.includes('run=') && tabButton(tabBefore)) tabButton(tabBefore).click();
