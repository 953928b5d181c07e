const tab = element.closest('[id$=-stages]').id.replace(/-stages$/, '');
const menus = () => [...element.querySelectorAll('select')];
const send = () => {
  props.value = Object.fromEntries(menus().map(menu => [menu.dataset.kind, menu.value]));
  window.hub?.keep(tab, 'stages', props.value);
  trigger('staged');
};
const show = () => {
  menus().forEach(menu => {
    const stage = (props.value || {})[menu.dataset.kind] || '';
    menu.value = [...menu.options].some(option => option.value === stage) ? stage : '';
  });
  if (menus().some(menu => menu.value !== ((props.value || {})[menu.dataset.kind] || ''))) send();
};
element.addEventListener('input', send);
watch(['rows', 'restored'], show);
props.value = window.hub?.held(tab, 'stages') || props.value;
show();
