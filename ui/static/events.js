// Gradio's page walks all components through all events when it loads. Svelte would wrap components and events in proxies,
// which make this walk several times as slow. It wraps only plain objects and arrays, and Gradio never changes these.
class Plain {}
class PlainList extends Array {
  static get [Symbol.species]() { return Array; }  // what is made of a list is an ordinary one
}
const {components = [], dependencies = []} = window.gradio_config ?? {};
for (const list of [components, dependencies]) Object.setPrototypeOf(list, PlainList.prototype);
for (const {props} of components) Object.setPrototypeOf(props, Plain.prototype);
for (const thing of [...components, ...dependencies]) Object.setPrototypeOf(thing, Plain.prototype);
for (const event of dependencies) {
  // After every message of the server, Gradio asks all inputs of all finished events for their values, and updates
  // them: a painted picture is uploaded again each time. It does so for components that `includes` finds.
  Object.defineProperty(event.inputs, 'includes', {value: () => false});
}
