// Mistakes at equal detection time over those of a fixed timeout. Every number was computed by the library.

const FOREST = { left: 150, right: 740, top: 34, row: 30 };

const DETECTORS = {
  "fixed-timeout": ["■ k × T", "fixed", square("fixed")],
  "phi-normal": ["● φ", "phi", dot("phi")],
  empirical: ["◆ no law", "sample", diamond("sample")],
  chen: ["○ Chen", "other", (x, y) => node("svg:circle", { class: "other mark", cx: x, cy: y, r: 5 })],
  "expected-arrival": ["■ ExpectedArrival", "student", square("student")],
};

function situation(model) {
  const name = model.get("shown");
  const trace = model.get("traces")[name];
  const time = Math.min(model.get("time"), trace.times.length - 1);
  return { name, trace, time, wanted: trace.times[time], rows: trace.rows[time] };
}

const title = (row) => DETECTORS[row.name][0].slice(2);

function verdict(row) {
  if (row.mistakes == null) return "cannot be set so";
  return row.name === "fixed-timeout" ? "the measure" : row.verdict;
}

function sentence(s) {
  const parts = s.rows.map((row) =>
    row.mistakes == null
      ? `${title(row)} cannot be set so`
      : `${title(row)} ${count(row.mistakes)}${row.name === "fixed-timeout" ? "" : ` (× ${number(row.ratio)}, ${row.verdict})`}`);
  return `${s.name}, a crash noticed in ${seconds(s.wanted)}, mistakes in ${seconds(s.trace.observed)}: ${parts.join("; ")}.`;
}

function forest(s) {
  const ratios = s.rows.flatMap((row) => [row.ratio, row.ratio_low, row.ratio_high]).filter((value) => value > 0);
  const [lowest, highest] = [Math.min(0.4, ...ratios) * 0.9, Math.max(2.5, ...ratios) * 1.1];
  const x = scale(lowest, highest, FOREST.left, FOREST.right, true);
  const bottom = FOREST.top + FOREST.row * s.rows.length;
  const marks = decades(lowest, highest);
  return [
    node("svg:text", { x: 4, y: 12 }, "mistakes, in multiples of those of the fixed timeout: further left is better"),
    ...marks.filter((_, k) => k % Math.ceil(marks.length / 9) === 0 || marks[k] === 1).flatMap((value) => [
      node("svg:line", { class: "grid", x1: x(value), x2: x(value), y1: FOREST.top - 8, y2: bottom }),
      node("svg:text", { class: "middle", x: x(value), y: bottom + 14 }, `× ${number(value)}`),
    ]),
    node("svg:line", { class: "promise", x1: x(1), x2: x(1), y1: FOREST.top - 8, y2: bottom }),
    ...s.rows.flatMap((row, k) => {
      const [label, name, shape] = DETECTORS[row.name];
      const y = FOREST.top + FOREST.row * (k + 0.4);
      const begun = [node("svg:text", { class: `${name} end`, x: FOREST.left - 12, y: y + 4 }, label.slice(2))];
      if (row.mistakes == null) return [
        ...begun,
        node("svg:text", { class: "over-lines", x: FOREST.left + 4, y: y + 4 }, "cannot be set so",
          node("svg:title", {}, row.refused)),
      ];
      return [
        ...begun,
        ...(row.ratio_low == null ? [] : [
          node("svg:line", { class: `${name} error`, x1: x(row.ratio_low), x2: x(row.ratio_high), y1: y, y2: y }),
        ]),
        shape(x(row.ratio), y),
      ];
    }),
  ];
}

function table(s) {
  return [
    node("thead", {}, node("tr", {}, node("td"),
      ...["threshold", "mistakes", "against k × T", "under suspicion", "verdict"].map((head) => node("th", { scope: "col" }, head)))),
    node("tbody", {}, ...s.rows.map((row) =>
      node("tr", {}, node("th", { scope: "row" }, title(row)),
        node("td", {}, number(row.threshold)),
        node("td", {}, row.mistakes == null ? "–" : count(row.mistakes)),
        node("td", {}, row.ratio == null ? "–" : `× ${number(row.ratio)}`),
        node("td", {}, row.query_accuracy == null ? "–" : percent(1 - row.query_accuracy)),
        node("td", {}, verdict(row))))),
  ];
}

function render({ model, el }) {
  const most = Math.max(...Object.values(model.get("traces")).map((trace) => trace.times.length));
  const root = node("div", { class: "accrual", "data-widget": "repairs" });
  const move = mover(model);
  const choice = chooser("shown", "Trace", Object.keys(model.get("traces")), (name) => move("shown", name));
  const time = slider("time", "Detection time", most, (index) => move("time", index));
  const results = node("table");
  const height = FOREST.top + FOREST.row * 5 + 22;
  const picture = node("svg:svg", { viewBox: `0 0 760 ${height}`, role: "img" });
  const words = node("p");
  const notes = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    choice.show(s.name);
    time.show(s.time, seconds(s.wanted), `detection in ${seconds(s.wanted)}: ${now}`);
    picture.replaceChildren(...forest(s));
    picture.setAttribute("aria-label", `Mistakes over those of a fixed timeout. ${now}`);
    results.replaceChildren(...table(s));
    words.textContent = now;
    notes.textContent = s.trace.notes.length ? `To be known: ${s.trace.notes.join("; ")}.` : "";
    code.textContent = `ac.compare(trace, [\n${s.rows.map((row) => `    ac.${row.code},\n`).join("")}], detection_time=${s.wanted})`;
    const state = { shown: s.name, time: s.time, wanted: s.wanted, notes: s.trace.notes.join("; ") };
    for (const row of s.rows)
      for (const field of ["mistakes", "ratio", "threshold"])
        state[`${row.name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())}${field[0].toUpperCase()}${field.slice(1)}`] = row[field];
    mirror(root, state);
  };
  root.append(
    choice.element, time.element,
    picture, results, words, notes,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
