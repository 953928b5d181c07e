const boxes = () => [...element.querySelectorAll('input')];
const show = () => boxes().forEach(box => { box.checked = (props.value || []).includes(box.value); });
element.addEventListener('change', () => { props.value = boxes().filter(box => box.checked).map(box => box.value); });
watch(['rows', 'value'], show);
show();
