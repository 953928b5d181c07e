// Pictures of the viewer: where the page has them, smaller copies for small scales, and maps of differences.
const MAX_PICTURES = 8, MAX_SIDE = 4096;
const HEAT = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];  // stops of "inferno"

const heatColour = part => {
  const at = Math.min(part, .9999) * (HEAT.length - 1), i = Math.floor(at), next = at - i;
  return HEAT[i].map((value, c) => Math.round(value + (HEAT[i + 1][c] - value) * next));
};
const heatTable = range => Uint32Array.from({length: 256}, (_, d) => {
  const [r, g, b] = heatColour(d / range);
  return (255 << 24 | b << 16 | g << 8 | r) >>> 0;
});
const pause = () => new Promise(resolve => setTimeout(resolve));  // long work leaves time for frames
const canvasOf = (width, height) => Object.assign(document.createElement('canvas'), {width, height});

// Copies with half the side each, down to 64 pixels, so that a small pane reads few pixels.
const levelsOf = async first => {
  const levels = [first];
  for (let last = first; Math.max(last.width, last.height) > 128; levels.push(last)) {
    const size = {resizeWidth: Math.max(1, last.width >> 1), resizeHeight: Math.max(1, last.height >> 1)};
    last = await createImageBitmap(last, {...size, resizeQuality: 'medium'});
    await pause();
  }
  return levels;
};
const loadPicture = async ({id, name, url, tab}) => {
  const image = new Image();
  image.src = url;  // the page has this address already, so the browser does not fetch it again
  await image.decode();
  const {naturalWidth: w, naturalHeight: h} = image, part = Math.min(1, MAX_SIDE / Math.max(w, h));
  const size = {resizeWidth: Math.max(1, Math.round(w * part)), resizeHeight: Math.max(1, Math.round(h * part))};
  const whole = await createImageBitmap(image, part < 1 ? {...size, resizeQuality: 'high'} : {});
  return {id, name, url, tab, width: whole.width, height: whole.height, levels: await levelsOf(whole), heats: {}};
};
// RGBA values, of a size in pixels.
const pixelsOf = (picture, width = picture.width, height = picture.height) => {
  const key = `${width}x${height}`;
  if (picture.pixels?.key === key) return picture.pixels.data;
  const pen = canvasOf(width, height).getContext('2d', {willReadFrequently: true});
  pen.drawImage(picture.levels[0], 0, 0, width, height);
  picture.pixels = {key, data: pen.getImageData(0, 0, width, height).data};
  return picture.pixels.data;
};
// The mean absolute difference of the three channels, 0 to 255, as a picture with these levels, its mean and its maximum.
const heatOf = async (picture, reference, range) => {
  const {width, height} = picture, heats = picture.heats;
  let heat = heats[reference.url];
  if (!heat) {
    const a = pixelsOf(picture), values = new Uint8Array(width * height);
    await pause();
    const b = pixelsOf(reference, width, height);
    let sum = 0, max = 0;
    for (let i = 0, j = 0; i < values.length; i += 1, j += 4) {
      if (i % 262144 === 0) await pause();
      const d = (Math.abs(a[j] - b[j]) + Math.abs(a[j + 1] - b[j + 1]) + Math.abs(a[j + 2] - b[j + 2])) / 3;
      sum += d;
      if (d > max) max = d;
      values[i] = d + .5;
    }
    heat = heats[reference.url] = {values, mean: sum / values.length, max, width, height,
      resized: reference.width !== width || reference.height !== height};
  }
  if (heat.range !== range) {
    await pause();
    const table = heatTable(range), image = new ImageData(width, height), words = new Uint32Array(image.data.buffer);
    for (let i = 0; i < words.length; i += 1) words[i] = table[heat.values[i]];
    await pause();
    heat.levels = await levelsOf(await createImageBitmap(image));
    heat.range = range;
  }
  return heat;
};

const tabButton = key => document.querySelector(`[role=tab][data-tab-id="${key}"]`);
const tabName = key => tabButton(key)?.innerText.trim() || key;
// The pictures that a tab shows now: {id, name, url, tab}.
const picturesOf = key => {
  const found = [], at = id => document.querySelector(`#${key}-${id}`);
  const add = (name, image) => {
    if (image?.src && !found.some(one => one.url === image.src)) {
      found.push({id: `${key}/${name}`, name, url: image.src, tab: key});
    }
  };
  const columns = [...document.querySelectorAll(`[id^="${key}-column-"]`)].filter(one => one.querySelector('.head'));
  add('Your picture', at('truth img'));
  add('Input', at('measured img'));
  columns.forEach(column => {
    const {innerText: name} = column.querySelector('.head b'), [left, right] = column.querySelectorAll('img');
    const edited = column.querySelector('.head[data-left]');
    if (!right) return;
    if (edited) add(`${name}, ${edited.dataset.left}`, left);
    else if (!at('truth img') && !at('measured img')) add('Your picture', left);
    add(edited ? `${name}, ${edited.dataset.right}` : name, right);
  });
  document.querySelectorAll(`[id^="${key}-"][id$="gallery"] .grid-container .thumbnail-item`).forEach((item, i) =>
    add(item.querySelector('.caption-label')?.innerText.trim() || `Picture ${i + 1}`, item.querySelector('img')));
  add('Pasted', at('pasted img'));
  document.querySelectorAll(`#${key}-cells [data-url]:is([data-original], [data-show])`).forEach(({dataset}) => found.push(
    {id: `${key}/${dataset.name}`, name: dataset.name, url: dataset.url, small: dataset.small, tab: key}));
  return found;
};
const allTabs = () => [...document.querySelectorAll('[role=tab][data-tab-id]')].map(tab => tab.dataset.tabId);
