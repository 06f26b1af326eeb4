// Each indicator while a fault strikes, a lane for each, drawn as far as the slider is. Every number was computed by the
// library; a mark says where an indicator is first worse than in the same run without the fault.

const LANES = { left: 12, right: 470, top: 24, height: 30, gap: 22 };

function now(model) {
  const name = model.get("shown");
  const found = model.get("scenarios")[name];
  const at = model.get("at");
  const last = found.since.findLastIndex((since) => since <= at + 1e-6);
  const moved = Object.entries(found.moved).filter(([, when]) => when != null && when <= at + 1e-6).sort((a, b) => a[1] - b[1]);
  return { name, found, at, last, moved };
}

const written = (indicator, value) => (value == null ? "nothing answered" : `${number(value)}${indicator.unit ? ` ${indicator.unit}` : ""}`);

function sentence(s, indicators) {
  const list = s.moved.map(([name, when]) => `${indicators[name].title} after ${number(when)} s`).join("; ");
  return `${s.name}, ${number(s.at)} s after the strike: ${list || "nothing has moved"}.`;
}

function table(s, indicators) {
  const rank = Object.fromEntries(s.moved.map(([name, when]) => [name, when]));
  return [
    node("thead", {}, node("tr", {}, ...["indicator", "now", "moved after"].map((text) => node("th", { scope: "col" }, text)))),
    node("tbody", {}, ...Object.entries(indicators).map(([name, indicator]) =>
      node("tr", {},
        node("th", { scope: "row" }, indicator.title),
        node("td", {}, written(indicator, s.found.values[name][s.last])),
        node("td", {}, name in rank ? `▲ ${number(rank[name])} s` : "not yet")))),
  ];
}

function lanes(s, indicators) {
  const { since, values, band, moved, ends } = s.found;
  const names = Object.keys(indicators);
  const x = scale(since[0], since.at(-1), LANES.left, LANES.right);
  const bottom = LANES.top + names.length * (LANES.height + LANES.gap);
  return [
    node("svg:rect", { class: "struck", x: x(0), y: LANES.top - 14, width: x(ends) - x(0), height: bottom - LANES.top }),
    ...names.flatMap((name, k) => {
      const base = LANES.top + k * (LANES.height + LANES.gap) + LANES.height;
      const real = values[name].filter((value) => value != null);
      const low = Math.min(0.9 * band[name], ...real);
      const high = Math.max(1.1 * band[name], ...real, low + 1e-9);
      const y = scale(low, high, base, base - LANES.height);
      const drawn = [];
      let stretch = [];
      for (let i = 0; i <= s.last; i++) {
        if (values[name][i] == null) { drawn.push(stretch); stretch = []; } else stretch.push([x(since[i]), y(values[name][i])]);
      }
      drawn.push(stretch);
      const when = moved[name];
      return [
        node("svg:text", { x: LANES.left, y: base - LANES.height - 5 }, indicators[name].title),
        node("svg:line", { class: "band", x1: LANES.left, x2: LANES.right, y1: y(band[name]), y2: y(band[name]) }),
        ...drawn.filter((points) => points.length > 1).map((points) => node("svg:path", { class: "watched", d: line(points) })),
        ...(when != null && when <= s.at + 1e-6
          ? [node("svg:path", { class: "moved", d: `M${x(when) - 5},${base + 9}h10l-5,-9Z` })] : []),
      ];
    }),
    node("svg:line", { class: "now", x1: x(s.at), x2: x(s.at), y1: LANES.top - 14, y2: bottom - 14 }),
    ...[0, 5, 10, 15].map((t) => node("svg:text", { class: "middle", x: x(t), y: bottom + 4 }, `${t} s`)),
  ];
}

function render({ model, el }) {
  const indicators = model.get("indicators");
  const stops = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "symptoms" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const choice = chooser("shown", "Fault in payment", Object.keys(model.get("scenarios")), (name) => move("shown", name));
  const at = slider("at", "After the strike", stops.length, (index) => move("at", stops[index]));
  /** To the next or previous instant at which an indicator moves. */
  const jump = (forward) => {
    const s = now(model);
    const marks = [...new Set(Object.values(s.found.moved).filter((when) => when != null))].sort((a, b) => a - b);
    const next = forward ? marks.find((when) => when > s.at + 1e-6) : marks.findLast((when) => when < s.at - 1e-6);
    move("at", next === undefined ? (forward ? stops.at(-1) : 0) : stops.reduce((a, b) => (Math.abs(b - next) < Math.abs(a - next) ? b : a)));
  };
  const steps = node("div", { class: "row" },
    button("◀", "To the move before", () => jump(false)), button("▶", "To the next move", () => jump(true)),
    node("span", {}, "step from one move to the next"));
  const results = node("table", { class: "moves" });
  const height = LANES.top + Object.keys(indicators).length * (LANES.height + LANES.gap) + 10;
  const picture = node("svg:svg", { viewBox: `0 0 482 ${height}`, role: "img" });
  const words = node("p");

  const draw = () => {
    const s = now(model);
    const text = sentence(s, indicators);
    choice.show(s.name);
    at.show(stops.indexOf(s.at), `${s.at.toFixed(1)} s`, text);
    results.replaceChildren(...table(s, indicators));
    picture.replaceChildren(...lanes(s, indicators));
    picture.setAttribute("aria-label", text);
    words.textContent = text;
    const state = { shown: s.name, at: s.at, moves: s.moved.length, first: s.moved[0]?.[0] ?? "" };
    for (const name of Object.keys(indicators)) state[name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())] = s.found.values[name][s.last];
    mirror(root, state);
  };
  root.append(choice.element, at.element, steps, node("div", { class: "side" }, results, picture), words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
