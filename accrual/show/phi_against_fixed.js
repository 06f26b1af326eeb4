// Phi accrual against k x T over one trace. Every number was computed by the library; here it is looked up and drawn.

const FRONTIER = { left: 46, right: 412, top: 24, bottom: 262 };
const TOP = { phi: 26, fixed: 152 };

/** Where the sliders are, and what the curves say there. */
function situation(model) {
  const stops = model.get("stops");
  const at = (name) => stops[name].indexOf(model.get(name));
  const pick = (curve, k) => Object.fromEntries(Object.entries(curve).map(([name, values]) => [name, values[k]]));
  const { window, ...phiCurve } = model.get("phi_curve");
  const columns = model.get("columns");
  const about = model.get("about");
  const [k, period] = [model.get("k"), model.get("period")];
  return {
    stops, at, about, columns, phiCurve, k, period,
    fixedLine: model.get("fixed_line"),
    threshold: model.get("threshold"),
    timeout: k * period,
    window, // the one that the numbers belong to; the slider may be ahead
    wanted: model.get("window"),
    busy: window !== model.get("window") || columns.stretch.some((end, i) => end !== model.get("stretch")[i]),
    phi: pick(phiCurve, at("threshold")),
    fixed: pick(model.get("fixed_curves")[at("period")], at("k")),
  };
}

const inWords = (s, found) => `${plural(found.mistakes, "mistake")} in ${seconds(s.about.observed)}`;
const kTimesT = (s) => `${number(s.k)} × ${seconds(s.period)}`;

function summary(s) {
  return (
    `φ with threshold ${number(s.threshold)} and window ${count(s.window)} notices a crash in ${seconds(s.phi.detection_time)} ` +
    `and makes ${inWords(s, s.phi)}; the timeout ${kTimesT(s)} = ${seconds(s.timeout)} notices it in ` +
    `${seconds(s.fixed.detection_time)} and makes ${plural(s.fixed.mistakes, "mistake")}.`
  );
}

// ---- the table ----

const rate = (found) => (found.mistakes ? `${number(found.mistake_rate)} /s` : `< ${number(found.mistake_rate_upper)} /s`);
const accuracy = (found) => (found.query_accuracy == null ? "–" : `${(100 * found.query_accuracy).toFixed(3)} %`);
const ROWS = [
  ["Detection time", "T", "D", (found) => seconds(found.detection_time)],
  ["Mistakes", "", "", (found) => count(found.mistakes)],
  ["Mistake rate", "λ", "M", rate],
  ["Mistake duration", "T", "M", (found) => seconds(found.mistake_duration)],
  ["Query accuracy", "P", "A", accuracy],
];

function table(s) {
  const heads = node("tr", {}, node("td"),
    node("th", { scope: "col", class: "phi" }, `● φ ≥ ${number(s.threshold)}`),
    node("th", { scope: "col", class: "fixed" }, `■ ${kTimesT(s)}`));
  const rows = ROWS.map(([label, letter, index, show]) =>
    node("tr", {}, node("th", { scope: "row" }, `${label} `, ...symbol(letter, index)),
      node("td", { class: "waits" }, show(s.phi)), node("td", {}, show(s.fixed))));
  return [node("thead", {}, heads), node("tbody", {}, ...rows)];
}

// ---- mistake rate against detection time ----

function frontier(s) {
  const pointsOf = (curve) => curve.mistakes.map((_, k) => [curve, k]);
  const series = { fixed: pointsOf(s.fixedLine), phi: pointsOf(s.phiCurve) };
  const seen = (points) => points.filter(([curve, k]) => curve.mistakes[k]);
  const clean = (points) => points.find(([curve, k]) => !curve.mistakes[k]);

  // As far as something happens, and where the sliders are.
  const drawn = Object.values(series).flatMap((points) => [...seen(points), clean(points)].filter(Boolean));
  const times = [...drawn.map(([curve, k]) => curve.detection_time[k]), s.phi.detection_time, s.fixed.detection_time];
  const [soonest, latest] = [Math.min(...times) * 0.9, Math.max(...times) * 1.2];
  const rates = drawn.map(([curve, k]) => bounded(curve, k));
  const [lowest, highest] = [Math.min(...rates) * 0.6, Math.max(...rates) * 1.6];
  const x = scale(soonest, latest, FRONTIER.left, FRONTIER.right, true);
  const y = scale(lowest, highest, FRONTIER.bottom, FRONTIER.top, true);
  const parts = grid(FRONTIER, [soonest, latest, x], [lowest, highest, y], "mistake rate [1/s]: lower is better");
  for (const [name, points] of Object.entries(series)) {
    const place = ([curve, k]) => [x(curve.detection_time[k]), y(bounded(curve, k))];
    const bound = clean(points);
    parts.push(node("svg:path", { class: `${name} curve${name === "phi" ? " waits" : ""}`, d: line(seen(points).map(place)) }));
    if (bound) parts.push(triangle(name, ...place(bound)));
  }
  const here = (found) => [x(found.detection_time), y(found.mistakes ? found.mistake_rate : found.mistake_rate_upper)];
  const [a, b] = here(s.fixed);
  const [c, d] = here(s.phi);
  parts.push(
    // The square is the larger one: where both are at the same place, both are seen.
    node("svg:rect", { class: "fixed mark", x: a - 8, y: b - 8, width: 16, height: 16 }),
    node("svg:circle", { class: "phi mark waits", cx: c, cy: d, r: 6.5 }),
  );
  return parts;
}

// ---- the timeline ----

function timeline(s) {
  const [start, end] = s.columns.stretch;
  const bottom = TOP.fixed + LANE.height;
  const x = scale(start, end, LANE.left, LANE.right);
  const spoken = (t) => number(t, Math.max(4, Math.ceil(Math.log10(end / (end - start))) + 3));
  return [
    ...rounds(start, end).flatMap((t) => [
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: TOP.phi, y2: bottom }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, spoken(t)),
    ]),
    ...lane("phi", s.columns.phi, s.threshold, 0.1, TOP.phi, (v) => number(v), `φ, and where it reaches Φ = ${number(s.threshold)} (ticks above)`),
    ...lane("fixed", s.columns.silence, s.timeout, s.about.nominal / 10, TOP.fixed, seconds, `silence, and where it reaches k × T = ${seconds(s.timeout)} (ticks above)`),
    node("svg:text", { class: "end", x: LANE.right, y: bottom + 32 }, "time since the first heartbeat [s]"),
  ];
}

// ---- the widget ----

function render({ model, el }) {
  const stops = model.get("stops");
  const about = model.get("about");
  const root = node("div", { class: "accrual", "data-widget": "phi-against-fixed" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const sliders = Object.fromEntries(
    [["threshold", "Threshold Φ"], ["window", "Window"], ["k", "Misses in a row k"], ["period", "Period T"]].map(
      ([name, label]) => [name, slider(name, label, stops[name].length, (index) => move(name, stops[name][index]))],
    ),
  );
  const results = node("table");
  const curves = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const lanes = node("svg:svg", { viewBox: "0 0 760 274", role: "img", class: "timeline waits" });
  const words = node("p");
  const code = node("pre");

  /** Show a stretch `factor` times as long round a point, at least five periods long and inside the trace. */
  const look = (middle, factor) => {
    const [start, end] = model.get("stretch");
    const width = clamp((end - start) * factor, Math.min(5 * about.nominal, about.span), about.span);
    const from = clamp(middle - width / 2, 0, about.span - width);
    move("stretch", [from, from + width]);
  };
  const slide = (share) => {
    const [start, end] = model.get("stretch");
    look((start + end) / 2 + share * (end - start), 1);
  };
  const centre = () => model.get("stretch").reduce((a, b) => a + b) / 2;
  lanes.addEventListener("click", (event) => {
    const box = lanes.getBoundingClientRect();
    const [start, end] = model.get("stretch");
    const { silence } = model.get("columns");
    const share = (((event.clientX - box.left) * 760) / box.width - LANE.left) / (LANE.right - LANE.left);
    // The longest silence within a fingertip of the pointer.
    const pointed = clamp(Math.floor(share * silence.length), 0, silence.length - 1);
    const near = silence.map((value, column) => (Math.abs(column - pointed) <= 8 ? value : 0));
    const column = near.indexOf(Math.max(...near));
    look(start + ((column + 0.5) / silence.length) * (end - start), 1 / 8);
  });
  const zoom = node("div", { class: "row" },
    button("◀", "Earlier", () => slide(-0.5)),
    button("▶", "Later", () => slide(0.5)),
    button("+", "Zoom in", () => look(centre(), 1 / 2)),
    button("−", "Zoom out", () => look(centre(), 2)),
    button("whole", "The whole trace", () => look(about.span / 2, Infinity)),
    node("span", {}, "or click a spike: eight times as close, until single heartbeats show"));

  const draw = () => {
    const s = situation(model);
    const now = summary(s);
    sliders.threshold.show(s.at("threshold"), number(s.threshold), `Phi = ${number(s.threshold)}: ${inWords(s, s.phi)}`);
    sliders.window.show(s.at("window"), count(s.wanted), `window = ${count(s.wanted)}: ${s.busy ? "computing" : inWords(s, s.phi)}`);
    sliders.k.show(s.at("k"), number(s.k), `k = ${number(s.k)}: ${inWords(s, s.fixed)}`);
    sliders.period.show(s.at("period"), seconds(s.period), `T = ${seconds(s.period)}: ${inWords(s, s.fixed)}`);
    results.replaceChildren(...table(s));
    curves.replaceChildren(...frontier(s));
    curves.setAttribute("aria-label", `Mistake rate against detection time. ${now}`);
    lanes.replaceChildren(...timeline(s));
    lanes.setAttribute("aria-label", `${about.name} from ${seconds(s.columns.stretch[0])} to ${seconds(s.columns.stretch[1])}. ${now}`);
    words.textContent = now;
    code.textContent =
      `ac.qos(trace, ac.PhiNormal(window=${s.window}), ${s.threshold}, skip=${about.skip})\n` +
      `ac.qos(trace, ac.FixedTimeout(period=${s.period}), ${s.k}, skip=${about.skip})`;
    const state = { busy: s.busy, window: s.window, start: s.columns.stretch[0], end: s.columns.stretch[1] };
    const parameters = { phi: { threshold: s.threshold, ...s.phi }, fixed: { k: s.k, period: s.period, timeout: s.timeout, ...s.fixed } };
    for (const [detector, found] of Object.entries(parameters))
      for (const [name, value] of Object.entries(found))
        state[detector + name.replace(/(^|_)([a-z])/g, (_, __, letter) => letter.toUpperCase())] = value;
    mirror(root, state);
    root.setAttribute("aria-busy", s.busy);
  };

  root.append(
    node("div", { class: "controls" }, sliders.threshold.element, sliders.k.element, sliders.window.element, sliders.period.element),
    node("div", { class: "side" }, results, curves),
    lanes,
    zoom,
    words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
