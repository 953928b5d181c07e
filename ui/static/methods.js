const boxes = () => [...element.querySelectorAll('input')];
const show = () => boxes().forEach(box => {
  box.checked = (props.value || []).includes(box.value);
  const time = box.parentElement.querySelector('i');
  time.textContent = (props.times || {})[box.value] || '';
  time.title = 'Expected computing time on this server';
});
element.addEventListener('change', () => { props.value = boxes().filter(box => box.checked).map(box => box.value); });
watch(['rows', 'value', 'times'], show);
show();
