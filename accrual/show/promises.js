// Promised and measured, trace by trace. Every number was computed by the library.

const STRIP = { left: 88, right: 752, top: 18, bottom: 84 };

function situation(model) {
  const thresholds = model.get("stops").threshold;
  const threshold = model.get("threshold");
  const k = thresholds.indexOf(threshold);
  const name = model.get("shown");
  const trace = model.get("traces")[name];
  const pick = (table) => Object.fromEntries(Object.entries(table).map(([field, values]) => [field, values[k]]));
  const sample = k < trace.sample.share.length ? pick(trace.sample) : null;
  return { name, trace, thresholds, threshold, k, phi: pick(trace.phi), sample };
}

const VERDICTS = {
  kept: "the promise is kept", more: "more are late than promised", fewer: "fewer are late than promised",
  "cannot tell": "the trace is too short to tell",
};

function sentence(s) {
  const late = `${count(s.phi.late)} of ${plural(s.trace.heartbeats, "heartbeat")}`;
  return (
    `${s.name}: Φ = ${number(s.threshold)} promises that ${percent(s.phi.promised)} of the heartbeats are late. ` +
    `Measured: ${percent(s.phi.share)} (${late}); ${VERDICTS[s.phi.verdict]}` +
    (s.phi.share && ["more", "fewer"].includes(s.phi.verdict) ? ` (${times(s.phi)}).` : ".")
  );
}

function table(s) {
  const row = (label, phi, sample) =>
    node("tr", {}, node("th", { scope: "row" }, label), node("td", {}, phi), node("td", {}, sample));
  const of = (show) => (s.sample ? show(s.sample) : "–");
  const interval = (found) => (found.low == null ? "–" : `${number(100 * found.low, 2)} … ${percent(found.high)}`);
  return [
    node("thead", {}, node("tr", {}, node("td"),
      node("th", { scope: "col", class: "phi" }, "● φ"), node("th", { scope: "col", class: "sample" }, "◆ no law"))),
    node("tbody", {},
      row("Promised", percent(s.phi.promised), of((found) => percent(found.promised))),
      row("Measured", percent(s.phi.share), of((found) => percent(found.share))),
      row("95 %", interval(s.phi), of(interval)),
      row("That is", times(s.phi), of(times)),
      row("Verdict", s.phi.verdict, of((found) => found.verdict))),
  ];
}

function plane(s) {
  const x = scale(0, 8, PROMISE.left, PROMISE.right);
  const y = scale(0, 8, PROMISE.bottom, PROMISE.top);
  const at = x(s.threshold);
  const curve = (name, found) => {
    const seen = found.share.map((share, k) => [k, share]).filter(([, share]) => share > 0);
    return seen.length ? [node("svg:path", { class: `${name} curve`, d: line(seen.map(([k, share]) => [x(s.thresholds[k]), y(phiOf(share))])) })] : [];
  };
  return [
    ...promisePlane(x, y),
    node("svg:line", { class: "tie", x1: at, x2: at, y1: PROMISE.top, y2: PROMISE.bottom }),
    ...curve("sample", s.trace.sample), ...curve("phi", s.trace.phi),
    ...measured("sample", s.trace.sample, s.thresholds, x, y, diamond("sample")),
    ...measured("phi", s.trace.phi, s.thresholds, x, y, dot("phi")),
  ];
}

/** The longest interval of each column, in medians: what the trace looks like. */
function strip(longest) {
  const highest = Math.max(...longest, 2);
  const y = scale(1, highest, STRIP.bottom, STRIP.top, true);
  const width = (STRIP.right - STRIP.left) / longest.length;
  const outline = longest.map((value, k) => `V${y(value).toFixed(1)}H${(STRIP.left + (k + 1) * width).toFixed(1)}`);
  const rungs = decades(1, highest);
  return [
    node("svg:text", { x: 4, y: 12 }, "the whole trace: longest intervals, in medians"),
    ...rungs.filter((_, k) => k % Math.ceil(rungs.length / 4) === 0).flatMap((value) => [
      node("svg:line", { class: "grid", x1: STRIP.left, x2: STRIP.right, y1: y(value), y2: y(value) }),
      node("svg:text", { class: "end", x: STRIP.left - 6, y: y(value) + 4 }, number(value)),
    ]),
    node("svg:path", { class: "bar", d: `M${STRIP.left},${STRIP.bottom}${outline.join("")}V${STRIP.bottom}Z` }),
  ];
}

function render({ model, el }) {
  const thresholds = model.get("stops").threshold;
  const root = node("div", { class: "accrual", "data-widget": "promises" });
  const move = mover(model);
  const choice = chooser("shown", "Trace", Object.keys(model.get("traces")), (name) => move("shown", name));
  const threshold = slider("threshold", "Threshold Φ", thresholds.length, (index) => move("threshold", thresholds[index]));
  const results = node("table");
  const picture = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const whole = node("svg:svg", { viewBox: "0 0 760 92", role: "img" });
  const words = node("p");
  const notes = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    choice.show(s.name);
    threshold.show(s.k, number(s.threshold),
      `Phi = ${number(s.threshold)}: promised ${percent(s.phi.promised)}, measured ${percent(s.phi.share)}`);
    results.replaceChildren(...table(s));
    picture.replaceChildren(...plane(s));
    picture.setAttribute("aria-label", `What each threshold promises, and what it keeps. ${now}`);
    whole.replaceChildren(...strip(s.trace.longest));
    whole.setAttribute("aria-label",
      `The whole trace: its longest interval is ${number(Math.max(...s.trace.longest))} times the median.`);
    words.textContent = now;
    notes.textContent = s.trace.notes.length ? `Shown: ${s.trace.notes.join("; ")}.` : "";
    code.textContent =
      `ac.calibration(trace, ac.PhiNormal(window=${s.trace.window}), [${s.threshold}], skip=${s.trace.window})` +
      (s.sample ? `\nac.calibration(trace, ac.Empirical(window=${s.trace.window}), [${s.trace.outlived[s.k]}], skip=${s.trace.window})` : "");
    mirror(root, {
      shown: s.name, threshold: s.threshold, window: s.trace.window, heartbeats: s.trace.heartbeats,
      promised: s.phi.promised, late: s.phi.late, share: s.phi.share, verdict: s.phi.verdict,
      sampleLate: s.sample?.late, sampleShare: s.sample?.share, notes: s.trace.notes.join("; "),
    });
  };
  root.append(
    choice.element, threshold.element,
    node("div", { class: "side" }, results, picture),
    whole, words, notes,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
