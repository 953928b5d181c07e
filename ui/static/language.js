// The page is English. Browsers that prefer another known language translate it; its script must be there before the page
// is built, so that nothing flickers.
{
  const language = (navigator.language || '').split('-')[0].toLowerCase();
  if (LANGUAGES.includes(language)) {
    const request = new XMLHttpRequest();
    request.open('GET', `${(window.gradio_config?.root || '').replace(/\/$/, '')}/languages/${language}.js`, false);
    request.send();
    if (request.status === 200) {
      document.head.append(Object.assign(document.createElement('script'), {textContent: request.responseText}));
    }
  }
}
