// What many widgets share: one of a few to choose, moving a trait of the model, and the frame round a picture.

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

/** A list of names to choose from. */
function chooser(name, label, names, onmove) {
  const select = node("select", { "data-choice": name, ...KEYBOARD }, ...names.map((one) => node("option", { value: one }, one)));
  select.addEventListener("change", () => onmove(select.value));
  return { element: node("label", { class: "row" }, node("span", {}, label), select), show: (value) => (select.value = value) };
}

/** Buttons in a labelled group, each of which picks one of a few. */
function picks(title, choices, onpick) {
  const buttons = choices.map((choice, index) => button(choice, `${title}: ${choice}`, () => onpick(index)));
  return { buttons, element: node("fieldset", { class: "choices" }, node("legend", {}, title), ...buttons) };
}

/**
 * A widget that is controls, a picture, what it says in words, and the code that says the same. `show(words, parts,
 * text)` fills it; `mount(draw)` draws now and with every change, and gives what ends that.
 */
function framed({ model, el }, name, viewBox, controls, { between = [], kind = null } = {}) {
  const root = node("div", { class: "accrual", "data-widget": name });
  const svg = node("svg:svg", { viewBox, role: "img", class: kind });
  const words = node("p");
  const code = node("pre");
  root.append(...controls, svg, ...between, words, node("details", {}, node("summary", KEYBOARD, "As code"), code));
  const show = (now, parts, text) => {
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", now);
    words.textContent = now;
    code.textContent = text;
  };
  const mount = (draw) => {
    model.on("change", draw);
    draw();
    el.append(root);
    return () => model.off("change", draw);
  };
  return { root, show, mount };
}

/** Moves a trait of the model. */
const mover = (model) => (name, value) => {
  model.set(name, value);
  model.save_changes();
};

/** A share as people say it. */
const percent = (share) => `${number(100 * share, 3)}\u00a0%`;
