// The buttons below the results that paste one into the photo. One event for all columns: the page loads faster.
const key = element.closest('[id$=-paste]').id.replace(/-paste$/, '');
document.addEventListener('click', event => {
  const [, index] = event.target.closest?.('.put')?.closest('[id*=-column-]')?.id.split(`${key}-column-`) || [];
  if (index) trigger('put', {index: Number(index)});
});
