// A fixed timeout k x T over a recorded trace. Every number was computed by the library; here it is looked up and drawn.

const PLANE = { left: 52, right: 400, top: 24, bottom: 262 };
const TOP = 28;

function situation(model) {
  const stops = model.get("stops");
  const at = (name) => stops[name].indexOf(model.get(name));
  const tables = model.get("tables");
  const table = tables[at("period")];
  const [k, period] = [model.get("k"), model.get("period")];
  const found = (name) => table[name][at("k")];
  return {
    stops, at, tables, table, k, period, timeout: k * period, about: model.get("about"),
    found: Object.fromEntries(
      ["detection_time", "detection_time_uniform", "mistakes", "mistake_rate", "mistake_rate_upper", "mistake_duration", "query_accuracy"]
        .map((name) => [name, found(name)])),
  };
}

const kTimesT = (s) => `${number(s.k)} × ${seconds(s.period)}`;

const sentence = (s) =>
  `${kTimesT(s)} = ${seconds(s.timeout)}: ${plural(s.found.mistakes, "mistake")} in ${seconds(s.table.observed)}, ` +
  `a crash is noticed in ${seconds(s.found.detection_time)} at worst; ${number(s.table.rate)} heartbeats a second.`;

const ROWS = [
  ["Heartbeats a second", "", "", (s) => number(s.table.rate)],
  ["Detection time, worst", "T", "D", (s) => seconds(s.found.detection_time)],
  ["… on average", "", "", (s) => seconds(s.found.detection_time_uniform)],
  ["Mistakes", "", "", (s) => count(s.found.mistakes)],
  ["Mistake rate", "λ", "M", (s) => (s.found.mistakes ? `${number(s.found.mistake_rate)} /s` : `< ${number(s.found.mistake_rate_upper)} /s`)],
  ["Mistake duration", "T", "M", (s) => seconds(s.found.mistake_duration)],
];

function table(s) {
  const head = node("tr", {}, node("td"), node("th", { scope: "col", class: "fixed" }, `■ ${kTimesT(s)}`));
  return [
    node("thead", {}, head),
    node("tbody", {}, ...ROWS.map(([label, letter, index, show]) =>
      node("tr", {}, node("th", { scope: "row" }, `${label} `, ...(letter ? symbol(letter, index) : [])), node("td", {}, show(s))))),
  ];
}

/** All periods, one line each; the present one dashed, as k x T is everywhere. */
function plane(s) {
  // As far as something happens on any of them, and where the sliders are.
  const all = s.tables.flatMap((curve) => {
    const clean = curve.mistakes.findIndex((mistakes) => !mistakes);
    return curve.mistakes.flatMap((mistakes, k) => (mistakes || k === clean ? [[curve, k]] : []));
  });
  const times = [...all.map(([curve, k]) => curve.detection_time[k]), s.found.detection_time];
  const [soonest, latest] = [Math.min(...times) * 0.9, Math.max(...times) * 1.2];
  const rates = all.map(([c, k]) => bounded(c, k));
  const [lowest, highest] = [Math.min(...rates) * 0.6, Math.max(...rates) * 1.6];
  const x = scale(soonest, latest, PLANE.left, PLANE.right, true);
  const y = scale(lowest, highest, PLANE.bottom, PLANE.top, true);
  const path = (curve) => line(curve.mistakes.map((_, k) => k).filter((k) => curve.mistakes[k]).map((k) => [x(curve.detection_time[k]), y(bounded(curve, k))]));
  const now = [x(s.found.detection_time), y(s.found.mistakes ? s.found.mistake_rate : s.found.mistake_rate_upper)];
  const clean = s.table.mistakes.findIndex((mistakes) => !mistakes);
  return [
    ...grid(PLANE, [soonest, latest, x], [lowest, highest, y], "mistake rate [1/s]: lower is better"),
    ...s.tables.filter((curve) => curve !== s.table && curve.mistakes.some(Boolean)).map((curve) => node("svg:path", { class: "others", d: path(curve) })),
    ...(s.table.mistakes.some(Boolean) ? [node("svg:path", { class: "fixed curve", d: path(s.table) })] : []),
    ...(clean < 0 ? [] : [triangle("fixed", x(s.table.detection_time[clean]), y(bounded(s.table, clean)))]),
    node("svg:rect", { class: "fixed mark", x: now[0] - 8, y: now[1] - 8, width: 16, height: 16 }),
  ];
}

function silences(s) {
  const { span, silence } = s.table;
  const x = scale(0, span, LANE.left, LANE.right);
  const bottom = TOP + LANE.height;
  return [
    ...rounds(0, span).flatMap((t) => [
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: TOP, y2: bottom }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, number(t, 4)),
    ]),
    ...lane("fixed", silence, s.timeout, s.about.nominal / 10, TOP, seconds, `longest silence, and where it reaches k × T = ${seconds(s.timeout)} (ticks above)`),
    node("svg:text", { class: "end", x: LANE.right, y: bottom + 32 }, "time since the first heartbeat [s]"),
  ];
}

function render({ model, el }) {
  const stops = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "k-times-t" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const sliders = Object.fromEntries(
    [["k", "Misses in a row k"], ["period", "Period T"]].map(
      ([name, label]) => [name, slider(name, label, stops[name].length, (index) => move(name, stops[name][index]))],
    ),
  );
  const results = node("table");
  const curves = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const lanes = node("svg:svg", { viewBox: "0 0 760 150", role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    sliders.k.show(s.at("k"), number(s.k), `k = ${s.k}: ${plural(s.found.mistakes, "mistake")}, detection in ${seconds(s.found.detection_time)}`);
    sliders.period.show(s.at("period"), seconds(s.period), `T = ${seconds(s.period)}: ${plural(s.found.mistakes, "mistake")}, detection in ${seconds(s.found.detection_time)}`);
    results.replaceChildren(...table(s));
    curves.replaceChildren(...plane(s));
    curves.setAttribute("aria-label", `Mistake rate against detection time. ${now}`);
    lanes.replaceChildren(...silences(s));
    lanes.setAttribute("aria-label", `${s.about.name}: the longest silences. ${now}`);
    words.textContent = now;
    code.textContent =
      (s.table.every === 1 ? "" : `trace = accrual.show.fixed.thinned(trace, every=${s.table.every})\n`) +
      `ac.qos(trace, ac.FixedTimeout(period=${s.period}), threshold=${s.k})`;
    const state = { every: s.table.every, rate: s.table.rate };
    for (const [name, value] of Object.entries({ k: s.k, period: s.period, timeout: s.timeout, ...s.found }))
      state["fixed" + name.replace(/(^|_)([a-z])/g, (_, __, letter) => letter.toUpperCase())] = value;
    mirror(root, state);
  };
  root.append(
    node("div", { class: "controls" }, sliders.k.element, sliders.period.element),
    node("div", { class: "side" }, results, curves),
    lanes,
    words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
