element.addEventListener('click', event => { if (event.target.closest('.put')) trigger('put'); });
