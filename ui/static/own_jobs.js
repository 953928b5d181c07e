element.addEventListener('click', event => {
  const button = event.target.closest('.job button');
  if (button) trigger('press', {key: button.dataset.key});
});
document.addEventListener('hub:over', () => trigger('press', {}));
