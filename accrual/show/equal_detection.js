// Phi and the fixed timeout that notices a crash equally fast. Every number was computed by the library.

const PLANE = { left: 66, right: 400, top: 24, bottom: 262 };

function situation(model) {
  const threshold = model.get("threshold");
  const index = model.get("stops").threshold.indexOf(threshold);
  const name = model.get("shown");
  const trace = model.get("traces")[name];
  const pick = (curve) => Object.fromEntries(Object.entries(curve).map(([field, values]) => [field, values[index]]));
  return { name, trace, threshold, index, phi: pick(trace.phi), fixed: pick(trace.fixed) };
}

/** Too few mistakes, or too like each other, to tell two detectors apart. */
const alike = (s) => s.phi.mistakes === s.fixed.mistakes || (s.phi.mistakes < 10 && s.fixed.mistakes < 10);

function verdict(s) {
  if (alike(s)) return "too few mistakes, or as many: no difference to be seen";
  const [better, worse] = s.phi.mistakes < s.fixed.mistakes ? ["φ", s.fixed.mistakes / s.phi.mistakes] : ["k × T", s.phi.mistakes / s.fixed.mistakes];
  return Number.isFinite(worse) ? `${better} is wrong less often, by a factor of ${number(worse)}` : `${better} is never wrong here`;
}

const sentence = (s) =>
  `${s.name}: both notice a crash in ${seconds(s.phi.detection_time)}. φ with Φ = ${number(s.threshold)} makes ` +
  `${plural(s.phi.mistakes, "mistake")} in ${seconds(s.trace.observed)}, the timeout of ${number(s.fixed.threshold, 4)} × ` +
  `${seconds(s.trace.period)} makes ${plural(s.fixed.mistakes, "mistake")}: ${verdict(s)}.`;

const ROWS = [
  ["Detection time", "T", "D", (found) => seconds(found.detection_time, 4)],
  ["Mistakes", "", "", (found) => count(found.mistakes)],
  ["Mistake rate", "λ", "M", (found) => (found.mistakes ? `${number(found.mistake_rate)} /s` : `< ${number(found.mistake_rate_upper)} /s`)],
  ["Mistake duration", "T", "M", (found) => seconds(found.mistake_duration)],
];

function table(s) {
  const heads = node("tr", {}, node("td"),
    node("th", { scope: "col", class: "phi" }, `● φ ≥ ${number(s.threshold)}`),
    node("th", { scope: "col", class: "fixed" }, `■ ${number(s.fixed.threshold, 4)} × ${seconds(s.trace.period)}`));
  return [
    node("thead", {}, heads),
    node("tbody", {}, ...ROWS.map(([label, letter, index, show]) =>
      node("tr", {}, node("th", { scope: "row" }, `${label} `, ...(letter ? symbol(letter, index) : [])),
        node("td", {}, show(s.phi)), node("td", {}, show(s.fixed))))),
  ];
}

function plane(s) {
  const { phi, fixed } = s.trace;
  const rates = { fixed: fixed.mistakes.map((_, k) => bounded(fixed, k)), phi: phi.mistakes.map((_, k) => bounded(phi, k)) };
  const seen = phi.mistakes.map((_, k) => k).filter((k) => k <= s.index || phi.mistakes[k] || fixed.mistakes[k]);
  const until = Math.min(Math.max(...seen) + 1, phi.mistakes.length - 1); // as far as something happens
  const [soonest, latest] = [phi.detection_time[0] / 1.02, phi.detection_time[until] * 1.02];
  const all = [...rates.phi.slice(0, until + 1), ...rates.fixed.slice(0, until + 1)];
  const [lowest, highest] = [Math.min(...all) * 0.6, Math.max(...all) * 1.6];
  const x = scale(soonest, latest, PLANE.left, PLANE.right, true);
  const y = scale(lowest, highest, PLANE.bottom, PLANE.top, true);
  const cut = (values) => values.slice(0, until + 1);
  const at = x(s.phi.detection_time);
  const [above, below] = [y(rates.phi[s.index]), y(rates.fixed[s.index])];
  return [
    ...grid(PLANE, [soonest, latest, x], [lowest, highest, y], "mistake rate [1/s]: lower is better"),
    ...lines(x, y,
      { fixed: fixed.detection_time, phi: phi.detection_time },
      { fixed: cut(rates.fixed), phi: cut(rates.phi) },
      { fixed: fixed.mistakes, phi: phi.mistakes }),
    node("svg:line", { class: "tie", x1: at, x2: at, y1: PLANE.top, y2: PLANE.bottom }),
    node("svg:rect", { class: "fixed mark", x: at - 8, y: below - 8, width: 16, height: 16 }),
    node("svg:circle", { class: "phi mark", cx: at, cy: above, r: 6.5 }),
  ];
}

function render({ model, el }) {
  const thresholds = model.get("stops").threshold;
  const root = node("div", { class: "accrual", "data-widget": "equal-detection" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const choice = chooser("shown", "Trace", Object.keys(model.get("traces")), (name) => move("shown", name));
  const threshold = slider("threshold", "Threshold Φ", thresholds.length, (index) => move("threshold", thresholds[index]));
  const results = node("table");
  const curves = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    choice.show(s.name);
    threshold.show(s.index, number(s.threshold),
      `Phi = ${number(s.threshold)}: detection in ${seconds(s.phi.detection_time)}, ${plural(s.phi.mistakes, "mistake")} against ${count(s.fixed.mistakes)}`);
    results.replaceChildren(...table(s));
    curves.replaceChildren(...plane(s));
    curves.setAttribute("aria-label", `Mistake rate against detection time. ${now}`);
    words.textContent = now;
    code.textContent =
      `ac.qos(trace, ac.PhiNormal(window=${s.trace.window}), ${s.threshold}, skip=${s.trace.window})\n` +
      `ac.qos(trace, ac.FixedTimeout(period=${s.trace.period}), ${s.fixed.threshold}, skip=${s.trace.window})`;
    const state = { shown: s.name, window: s.trace.window, period: s.trace.period };
    for (const detector of ["phi", "fixed"])
      for (const [name, value] of Object.entries(s[detector]))
        state[detector + name.replace(/(^|_)([a-z])/g, (_, __, letter) => letter.toUpperCase())] = value;
    mirror(root, state);
  };
  root.append(
    choice.element, threshold.element,
    node("div", { class: "side" }, results, curves),
    words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
