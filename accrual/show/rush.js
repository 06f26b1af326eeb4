// The night of the great sale: requests lost with one pool and with bulkheads, rate by rate. All of it was simulated.

const PLANE = { left: 64, right: 404, top: 24, bottom: 236 };
const KINDS = [["shared", "fixed", "■ one pool"], ["own", "phi", "● bulkheads"]];

function situation(model) {
  const [stops, scenario, rate] = ["stops", "scenario", "rate"].map((name) => model.get(name));
  const all = model.get("scenarios")[scenario];
  const index = stops.indexOf(rate);
  return { stops, scenario, rate, index, all, shared: all.shared[index], own: all.own[index] };
}

const sentence = (s) =>
  `${s.scenario === "shop" ? "The shop" : "The ticket sale"} at ${count(s.rate)} requests a second: of ${count(s.shared.asked)} requests in ten seconds ` +
  `${count(s.shared.lost)} fail with one pool, ${count(s.own.lost)} with bulkheads.`;

function plane(s) {
  const most = Math.max(...KINDS.flatMap(([kind]) => s.all[kind].map(({ lost }) => lost)));
  const x = scale(s.stops[0], s.stops.at(-1), PLANE.left, PLANE.right, true);
  const y = scale(10, most * 1.3, PLANE.bottom, PLANE.top, true);
  return [
    node("svg:text", { x: 4, y: 12 }, "requests that fail in 10 s: lower is better"),
    ...decades(10, most * 1.3).flatMap((value) => [
      node("svg:line", { class: "grid", x1: PLANE.left, x2: PLANE.right, y1: y(value), y2: y(value) }),
      node("svg:text", { class: "end", x: PLANE.left - 6, y: y(value) + 4 }, count(value)),
    ]),
    ...s.stops.filter((rate) => ![150, 180].includes(rate)).flatMap((rate) => [
      node("svg:line", { class: "grid", x1: x(rate), x2: x(rate), y1: PLANE.top, y2: PLANE.bottom }),
      node("svg:text", { class: "middle", x: x(rate), y: PLANE.bottom + 16 }, count(rate)),
    ]),
    node("svg:text", { class: "end", x: PLANE.right, y: PLANE.bottom + 34 }, "requests a second"),
    ...KINDS.flatMap(([kind, name]) => {
      const [cx, cy] = [x(s.rate), y(s[kind].lost)];
      return [
        node("svg:path", { class: `${name} curve`, d: line(s.all[kind].map(({ lost }, k) => [x(s.stops[k]), y(lost)])) }),
        name === "phi" ? node("svg:circle", { class: "phi mark", cx, cy, r: 8 })
          : node("svg:rect", { class: "fixed mark", x: cx - 8, y: cy - 8, width: 16, height: 16 }),
      ];
    }),
  ];
}

function table(s) {
  const names = Object.keys(s.shared.services);
  const row = (label, show, strong) => node("tr", {}, node("th", { scope: "row" }, label),
    ...KINDS.map(([kind]) => node("td", strong ? { class: "total" } : {}, show(s[kind]))));
  return [
    node("thead", {}, node("tr", {}, node("td"), ...KINDS.map(([, name, title]) => node("th", { scope: "col", class: name }, title)))),
    node("tbody", {},
      row("Threads", ({ workers }) => (workers.shared ? `${workers.shared}` : names.map((name) => workers[name]).join(" + "))),
      ...names.map((name) => row(`${name}: lost`, ({ services }) => count(services[name]))),
      row("All that is lost", ({ lost }) => count(lost), true)),
  ];
}

function render({ model, el }) {
  const stops = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "rush" });
  const move = mover(model);
  const scenario = radios("scenario", "What is sold", [["shop", "the shop: a third each of order, payment, delivery"], ["tickets", "train tickets: 80 % search, 15 % book, 5 % pay"]], (name) => move("scenario", name));
  const rate = slider("rate", "Requests a second", stops.length, (index) => move("rate", stops[index]));
  const results = node("table", { class: "lost" });
  const curves = node("svg:svg", { viewBox: "0 0 420 276", role: "img" });
  const words = node("p");
  const code = node("pre");
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    scenario.show(s.scenario);
    rate.show(s.index, count(s.rate), now);
    results.replaceChildren(...table(s));
    curves.replaceChildren(...plane(s));
    curves.setAttribute("aria-label", `Failed requests by rate. ${now}`);
    words.textContent = now;
    code.textContent = ["True", "False"].map((shared) => `accrual.show.pools.rush("${s.scenario}", ${s.rate}, shared=${shared})`).join("\n");
    mirror(root, { scenario: s.scenario, rate: s.rate, shared: s.shared.lost, own: s.own.lost });
  };
  root.append(scenario.element, rate.element, node("div", { class: "side" }, results, curves), words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code));
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
