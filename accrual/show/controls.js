// What the widgets of this folder share: elements, sliders, scales, and the words for numbers. It is put before each
// widget's own file (see phi.py), so that a widget is one module and fetches nothing.

/** An element; "svg:name" makes one of a picture. Attributes that are null are left out. */
function node(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value != null) made.setAttribute(key, value);
  made.append(...children.filter((child) => child != null));
  return made;
}

// JupyterLab's shortcuts take arrow keys, Enter and Space away from whatever has the focus in a notebook; this
// attribute on the focusable element itself (on one around it, it does nothing) leaves them with it.
const KEYBOARD = { "data-lm-suppress-shortcuts": "true" };

/** A labelled slider over numbered stops. `show(index, text, spoken)` moves it and says where it is. */
function slider(name, label, count, onmove) {
  const input = node("input", { type: "range", min: 0, max: count - 1, step: 1, "data-slider": name, ...KEYBOARD });
  const output = node("output", { "aria-hidden": "true" }); // its value text says more
  input.addEventListener("input", () => onmove(Number(input.value)));
  const show = (index, text, spoken) => {
    input.value = index;
    input.setAttribute("aria-valuetext", spoken);
    output.textContent = text;
  };
  return { element: node("label", { class: `slider ${name}` }, node("span", {}, label), input, output), show };
}

/** A button that the keyboard reaches. */
function button(text, title, onclick) {
  const made = node("button", { type: "button", title, "aria-label": title, ...KEYBOARD }, text);
  made.addEventListener("click", onclick);
  return made;
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** A function from `low`..`high` to `from`..`to`, logarithmic or not; what lies outside goes to the edge. */
function scale(low, high, from, to, logarithmic = false) {
  const f = logarithmic ? Math.log : (x) => x;
  return (x) => from + ((to - from) * (f(clamp(x, low, high)) - f(low))) / (f(high) - f(low));
}

/** The powers of ten from `low` to `high`; where they are few, their twofold and fivefold too. */
function decades(low, high) {
  const between = high / low < 60 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    found.push(...between.map((multiple) => multiple * 10 ** power));
  return found.filter((value) => low * 0.999 <= value && value <= high * 1.001);
}

/** Some four to eight round numbers from `low` to `high`. */
function rounds(low, high) {
  const rough = (high - low) / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step + 0); // no -0
  return found;
}

/** A symbol with an index, as in T_D. */
const symbol = (letter, index) => [letter, node("sub", {}, index)];

/** A line through points [x, y]. */
const line = (points) => "M" + points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");

/** Three digits or so; a dash for what is not a number. */
function number(x, digits = 3) {
  if (x == null || Number.isNaN(x)) return "–";
  return (Number(x.toPrecision(digits)) + 0).toLocaleString("en", { maximumSignificantDigits: digits }); // + 0: no -0
}

/** A whole number with its thousands marked. */
const count = (n) => n.toLocaleString("en");

/** "1 mistake", "12 mistakes". */
const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

const UNITS = [["ns", 1e-9, 0], ["µs", 1e-6, 1e-6], ["ms", 1e-3, 1e-3], ["s", 1, 1], ["min", 60, 600], ["h", 3600, 36000]];

/** Name and size of the unit that suits a duration; none at all is 0 s. */
const unit = (s) => s === 0 ? UNITS[3] : UNITS.findLast(([, , from]) => Math.abs(s) >= from * 0.99995);

/** A duration in the unit that suits it. */
function seconds(s, digits = 3) {
  if (s == null || Number.isNaN(s)) return "–";
  const [name, size] = unit(s);
  return `${number(s / size, digits)} ${name}`;
}

/** Tests read numbers here, not pixels. */
function mirror(root, state) {
  for (const [name, value] of Object.entries(state)) root.dataset[name] = value == null ? "nan" : String(value);
}
