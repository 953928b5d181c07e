// Gradio's page walks all components through all events when it loads. Svelte would wrap each event in proxies, which
// make this walk three times as slow. It wraps only plain objects, and Gradio never changes an event.
class PlainEvent {}
for (const event of window.gradio_config?.dependencies ?? []) Object.setPrototypeOf(event, PlainEvent.prototype);
