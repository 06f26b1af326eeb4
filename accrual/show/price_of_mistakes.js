// What two detectors cost in an hour with one crash, and where each is cheapest. Every number was computed by the library.

const PLANE = { left: 66, right: 400, top: 24, bottom: 262 };

function situation(model) {
  const price = model.get("price");
  const index = model.get("stops").price.indexOf(price);
  const name = model.get("shown");
  const trace = model.get("traces")[name];
  const best = (detector) => {
    const k = trace.cheapest[detector][index];
    const { threshold, detection_time, mistakes, mistake_rate } = trace[detector];
    return {
      k, cost: trace.cost[detector][index][k], threshold: threshold[k], detection_time: detection_time[k],
      mistakes: mistakes[k], mistake_rate: mistake_rate[k],
    };
  };
  return { name, trace, price, index, phi: best("phi"), fixed: best("fixed") };
}

function sentence(s) {
  const ratio = s.phi.cost / s.fixed.cost;
  const verdict = Math.abs(Math.log(ratio)) < 0.05
    ? "they cost about the same"
    : `${ratio < 1 ? "φ" : "k × T"} is cheaper, by ${number(100 * (1 - Math.min(ratio, 1 / ratio)), 2)} %`;
  return (
    `${s.name}, if a mistake costs as much as ${seconds(s.price)} of an undetected crash: φ is cheapest with ` +
    `Φ = ${number(s.phi.threshold)}, ${seconds(s.phi.cost)} an hour; a timeout with ${number(s.fixed.threshold)} × ` +
    `${seconds(s.trace.period)}, ${seconds(s.fixed.cost)} an hour: ${verdict}.`
  );
}

const ROWS = [
  ["Cost in an hour", (found) => seconds(found.cost)],
  ["Detection time, worst", (found) => seconds(found.detection_time)],
  ["Mistakes in an hour", (found) => number(3600 * found.mistake_rate)],
  ["Mistakes seen", (found) => count(found.mistakes)],
];

function table(s) {
  const heads = node("tr", {}, node("td"),
    node("th", { scope: "col", class: "phi" }, `● φ ≥ ${number(s.phi.threshold)}`),
    node("th", { scope: "col", class: "fixed" }, `■ ${number(s.fixed.threshold)} × ${seconds(s.trace.period)}`));
  return [
    node("thead", {}, heads),
    node("tbody", {}, ...ROWS.map(([label, show]) =>
      node("tr", {}, node("th", { scope: "row" }, label), node("td", {}, show(s.phi)), node("td", {}, show(s.fixed))))),
  ];
}

function plane(s) {
  const { phi, fixed } = s.trace;
  const costs = { fixed: s.trace.cost.fixed[s.index], phi: s.trace.cost.phi[s.index] };
  const times = { fixed: fixed.detection_time, phi: phi.detection_time };
  const [soonest, latest] = [times.phi[0] / 1.02, times.phi.at(-1) * 1.02];
  const lowest = Math.min(s.phi.cost, s.fixed.cost) * 0.7;
  const highest = Math.max(...costs.phi, ...costs.fixed) * 1.3;
  const x = scale(soonest, latest, PLANE.left, PLANE.right, true);
  const y = scale(lowest, highest, PLANE.bottom, PLANE.top, true);
  const every = { fixed: costs.fixed.map(() => true), phi: costs.phi.map(() => true) };
  return [
    ...grid(PLANE, [soonest, latest, x], [lowest, highest, y], "cost in an hour [s of an undetected crash]: lower is better"),
    ...lines(x, y, times, costs, every),
    node("svg:rect", { class: "fixed mark", x: x(s.fixed.detection_time) - 8, y: y(s.fixed.cost) - 8, width: 16, height: 16 }),
    node("svg:circle", { class: "phi mark", cx: x(s.phi.detection_time), cy: y(s.phi.cost), r: 6.5 }),
  ];
}

function render({ model, el }) {
  const prices = model.get("stops").price;
  const root = node("div", { class: "accrual", "data-widget": "price-of-mistakes" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const choice = chooser("shown", "Trace", Object.keys(model.get("traces")), (name) => move("shown", name));
  const price = slider("price", "A mistake costs", prices.length, (index) => move("price", prices[index]));
  const results = node("table");
  const curves = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    choice.show(s.name);
    price.show(s.index, seconds(s.price), now);
    results.replaceChildren(...table(s));
    curves.replaceChildren(...plane(s));
    curves.setAttribute("aria-label", `Cost in an hour against detection time. ${now}`);
    words.textContent = now;
    code.textContent =
      `curve = ac.curve(trace, ac.PhiNormal(window=${s.trace.window}), skip=${s.trace.window})  # or another detector\n` +
      `cost = 3600 * curve.mistake_rate * ${s.price} + curve.detection_time_uniform\n` +
      "curve.thresholds[cost.argmin()]";
    const state = { shown: s.name, price: s.price };
    for (const detector of ["phi", "fixed"])
      for (const name of ["threshold", "cost", "detection_time", "mistakes"])
        state[detector + name.replace(/(^|_)([a-z])/g, (_, __, letter) => letter.toUpperCase())] = s[detector][name];
    mirror(root, state);
  };
  root.append(
    choice.element, price.element,
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
