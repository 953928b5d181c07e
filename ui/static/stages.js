const tab = element.closest('[id$=-stages]').id.replace(/-stages$/, '');
const menus = () => [...element.querySelectorAll('select')];
let own = window.hub?.held(tab, 'stages') || props.value || {};  // see `fields.js`
const send = () => {
  own = props.value = Object.fromEntries(menus().map(menu => [menu.dataset.kind, menu.value]));
  window.hub?.keep(tab, 'stages', own);
  trigger('staged');
};
const show = () => {
  menus().forEach(menu => {
    const stage = own[menu.dataset.kind] || '';
    menu.value = [...menu.options].some(option => option.value === stage) ? stage : '';
  });
  if (menus().some(menu => menu.value !== (own[menu.dataset.kind] || ''))) send();
  else if (JSON.stringify(props.value) !== JSON.stringify(own)) props.value = {...own};
};
element.addEventListener('input', send);
watch('restored', () => { own = props.value || {}; });
watch(['rows', 'value', 'restored'], show);
show();
