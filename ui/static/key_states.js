// The key states of an animation. Each has a button that removes it.
element.addEventListener('click', event => {
  const button = event.target.closest('[data-state]');
  if (!button) return;
  props.value = (props.value || []).filter((_, index) => index !== Number(button.dataset.state));
  trigger('cut');
});
