// What the widgets of lesson 6 share: one of a few to choose, and moving a trait of the model.

/** Radio buttons in a labelled group. `show(name)` marks one. */
function radios(name, label, entries, onpick) {
  const group = `${name}-${Math.random().toString(36).slice(2)}`; // those of two copies must not be one group
  const inputs = entries.map(([value, title]) => {
    const input = node("input", { type: "radio", name: group, value, "data-choice": name, ...KEYBOARD });
    input.addEventListener("change", () => onpick(value));
    return { value, input, element: node("label", {}, input, ` ${title}`) };
  });
  return {
    element: node("fieldset", {}, node("legend", {}, label), ...inputs.map(({ element }) => element)),
    show: (value) => inputs.forEach((one) => (one.input.checked = one.value === value)),
  };
}

/** Moves a trait of the model. */
const mover = (model) => (name, value) => {
  model.set(name, value);
  model.save_changes();
};

/** A share as people say it. */
const percent = (share) => `${number(100 * share, 3)}\u00a0%`;
