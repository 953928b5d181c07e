// Gradio's page walks all components through all events when it loads. Svelte would wrap each event in proxies, which
// make this walk three times as slow. It wraps only plain objects, and Gradio never changes an event.
class PlainEvent {}
for (const event of window.gradio_config?.dependencies ?? []) {
  Object.setPrototypeOf(event, PlainEvent.prototype);
  // After every message of the server, Gradio asks all inputs of all finished events for their values, and updates
  // them: a painted picture is uploaded again each time. It does so for components that `includes` finds.
  Object.defineProperty(event.inputs, "includes", { value: () => false });
}
