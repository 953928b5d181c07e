// "Send to": a picture of the page goes to another tab, as if it had been uploaded there. Nothing else is sent.
const PATIENCE = 15_000;  // milliseconds for a tab to appear
const when = (find, patience = PATIENCE) => new Promise((resolve, reject) => {
  const since = Date.now();
  const look = () => {
    const found = find();
    if (found) resolve(found);
    else if (Date.now() - since > patience) reject(new Error('The tab does not answer.'));
    else setTimeout(look, 100);
  };
  look();
});
const uploadOf = key => document.querySelector(`#${key}-picture input[type=file]`);
const editorOf = key => document.querySelector(`#${key}-picture canvas`);
const chosenPictures = {};  // key of a tab -> {file or url} that was chosen there last: an editor has no address of its picture
const filled = key => Boolean(document.querySelector(`#${key}-picture .image-frame img`) || (editorOf(key)
  && !document.querySelector(`#${key}-picture .empty`)?.checkVisibility()));
// The picture in a tab's upload: {name, url or file}; null without one.
const pictureIn = key => {
  const image = document.querySelector(`#${key}-picture .image-frame img`);
  if (image?.src) return {name: 'picture', url: image.src};
  return filled(key) && chosenPictures[key] ? {name: 'picture', ...chosenPictures[key]} : null;
};
const fileOf = async ({name, url, file}) => {
  if (file) return file;
  const blob = await (await fetch(url)).blob();
  return new File([blob], `${name.replace(/[^\w-]+/g, '-').toLowerCase()}.${blob.type.split('/')[1] || 'png'}`, {type: blob.type});
};
const sendPicture = async (picture, key) => {
  dialog?.close();
  tabButton(key).click();
  if (key === 'compare') return comparePicture(picture);
  await givePicture(key, await fileOf(picture));
  tabButton(key).focus({preventScroll: true});
  window.scrollTo({top: 0});
};
// Puts a file into a tab's upload. ends: tells that it is no longer wanted.
const givePicture = async (key, file, ends = () => false) => {
  const {paints} = TARGETS.find(one => one.key === key) || {};
  const files = new DataTransfer();
  files.items.add(file);
  const full = filled(key);
  for (let tries = 0; tries < 4; tries += 1) {
    const input = await when(() => (!paints || editorOf(key)) && uploadOf(key));
    if (ends()) return;
    input.files = files.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
    // An editor that has just been made may not listen yet.
    if (full || await when(() => filled(key), 4000).catch(() => false)) break;
  }
};
const comparePicture = picture => {
  const id = picture.id || `sent/${picture.url}`;
  if (!picture.id) compareFiles.push({...picture, id});
  return openComparison([id]);
};

// One menu for all buttons.
let sendMenu = null, sending = null;
const openMenu = (button, picture) => {
  if (!sendMenu) {
    sendMenu = Object.assign(document.createElement('div'), {className: 'send-menu', popover: 'auto'});
    sendMenu.setAttribute('role', 'menu');
    sendMenu.setAttribute('aria-label', 'Send to');
    sendMenu.addEventListener('click', event => {
      const {key} = event.target.closest('button')?.dataset || {};
      if (!key) return;
      sendMenu.hidePopover();
      sendPicture(sending, key);
    });
    sendMenu.addEventListener('keydown', event => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key], items = [...sendMenu.children];
      if (!step) return;
      event.preventDefault();
      items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
    });
  }
  sending = picture;
  const inside = button.closest('dialog') || document.querySelector('.gradio-container main');
  inside.append(sendMenu);  // a menu outside an open dialog could not be used
  const targets = TARGETS.filter(({key}) => key !== picture.tab || key === 'edit');
  sendMenu.replaceChildren(...targets.map(({key, label}) => {
    const item = Object.assign(document.createElement('button'), {type: 'button', textContent: label});
    item.dataset.key = key;
    item.setAttribute('role', 'menuitem');
    return item;
  }));
  sendMenu.showPopover();
  const {left, bottom, top} = button.getBoundingClientRect(), {offsetWidth: w, offsetHeight: h} = sendMenu;
  sendMenu.style.left = `${between(left, 8, innerWidth - w - 8)}px`;
  sendMenu.style.top = `${bottom + h + 12 > innerHeight ? Math.max(8, top - h - 4) : bottom + 4}px`;
  sendMenu.firstChild.focus();
};

// Offers the picture of the tab before to a tab without a picture.
let leftTab = TARGETS[0].key;
const writeOffer = async key => {
  const from = leftTab, picture = from && from !== key ? pictureIn(from) : null;
  if (picture) leftPicture = {...picture, tab: from};
  leftTab = TARGETS.some(one => one.key === key) && key !== 'compare' ? key : leftTab;
  const box = await when(() => document.querySelector(`#${key}-offer .offer`), 3000).catch(() => null);
  if (!box) return;
  const show = () => {
    const wanted = leftPicture && leftPicture.tab !== key && !filled(key);
    box.hidden = !wanted;
    if (wanted) box.textContent = `Use the picture of ${tabName(leftPicture.tab)}`;
  };
  show();
  clearInterval(offering);
  offering = setInterval(() => {  // an editor does not tell when a picture arrives
    show();
    if (box.hidden) clearInterval(offering);
  }, 300);
};
let offering = 0;
let leftPicture = null;

document.addEventListener('change', event => {
  const key = event.target.type === 'file' && event.target.closest?.('[id$=-picture]')?.id.replace(/-picture$/, '');
  const file = key && event.target.files[0];
  if (file) chosenPictures[key] = {file: sources.get(file) || file};
}, true);
document.addEventListener('click', event => {
  const button = event.target.closest?.('button');
  if (!button) return;
  const tab = button.matches('[role=tab]') && button.dataset.tabId;
  if (tab) writeOffer(tab);
  if (button.matches('.offer')) {
    button.hidden = true;
    sendPicture(leftPicture, button.closest('[id$=-offer]').id.replace(/-offer$/, ''));
  }
  if (button.matches('.card .send')) {
    const column = button.closest('[id*=-column-]'), key = column.id.replace(/-column-.*/, '');
    const name = column.querySelector('.head b').innerText, url = [...column.querySelectorAll('img')].at(-1).src;
    openMenu(button, picturesOf(key).find(one => one.url === url) || {name, url, tab: key});
  }
});
