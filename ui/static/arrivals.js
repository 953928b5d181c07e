// A field for a picture gives up its picture as soon as a file is chosen, and an editor then shows nothing if the
// browser cannot read the file. So the server looks at such files before: it refuses them in a sentence, or sends an
// editor what the browser can show. An editor also gets a small copy of a large picture, which it would send twice for
// every event that reads it; the server knows the original.
const ROOT = (window.gradio_config?.root || '').replace(/\/$/, '');
const UNSEEN = 'This browser cannot show the file. Export the picture as JPEG or PNG.';
const FAILED = 'The upload failed. Try again.';
const verdicts = new WeakMap();  // file -> promise of {file or nothing, text: for the person}
const sources = new WeakMap();  // what an editor gets instead of a file -> the file
const usual = ({width, height}) => Math.min(width, height) >= 64 && Math.max(width, height) < 9000;  // surely read
const visible = (file, fits = () => true) => createImageBitmap(file).then(fits, () => false);
const look = async (file, paints) => {
  const fits = picture => usual(picture) && (!paints || Math.max(picture.width, picture.height) <= EDITOR_SIDE);
  if (await visible(file, fits)) return {file};
  const body = new FormData();
  body.append('files', file);
  const told = await (await fetch(`${ROOT}/gradio_api/upload?picture=1`, {method: 'POST', body})).json();
  if (!Array.isArray(told)) return {text: told.detail || FAILED};
  if (!paints) return {file};
  const shown = await fetch(`${ROOT}/gradio_api/file=${told[0]}`, {headers: {accept: 'image/png'}, cache: 'no-store'});
  const small = shown.headers.has('x-small');
  if (!small && await visible(file)) return {file};
  const copy = new File([await shown.blob()], `${file.name}.png`, {type: 'image/png'});
  const text = small ? '' : JSON.parse(shown.headers.get('x-notes') || '""');  // the notes on an original come later
  return await visible(copy) ? {file: copy, text} : {text: UNSEEN};
};
const sayBeside = (block, text, bad) => {
  const note = block.parentElement.querySelector(':scope > .refused') || document.createElement('p');
  note.className = bad ? 'note refused bad' : 'note refused';
  note.setAttribute('role', 'alert');
  note.textContent = text;
  if (text) block.after(note);
  else note.remove();
};
const pictureField = target => target.closest?.('.block:is(:has(canvas), :has([data-testid=image]))');
const give = (input, file) => {
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
};
document.addEventListener('change', async event => {
  const {target} = event, file = target.type === 'file' && target.files[0], block = file && pictureField(target);
  if (!block || verdicts.get(file)?.passes) return;
  event.stopImmediatePropagation();
  const board = block.querySelector('.pixi-target'), paints = Boolean(board);
  if (!verdicts.has(file)) verdicts.set(file, look(file, paints).catch(() => ({text: FAILED})));
  const {file: given, text = ''} = await verdicts.get(file);
  sayBeside(block, text, !given);
  if (!given) return;
  if (board) await when(() => board.querySelector('canvas'));  // Gradio loses what an editor gets before
  verdicts.set(given, {passes: true});
  sources.set(given, file);
  give(target.isConnected ? target : block.querySelector('input[type=file]'), given);
}, true);
document.addEventListener('drop', event => {
  const input = pictureField(event.target)?.querySelector('input[type=file]'), {files} = event.dataTransfer;
  if (!input || files.length !== 1) return;
  event.preventDefault();
  event.stopPropagation();
  give(input, files[0]);
}, true);
