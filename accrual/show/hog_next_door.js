// One line for all, or a line for each: what a fixed timeout and phi wait for in each phase of the hog next door.

const ROOM = { left: 190, right: 690, top: 40, row: 62 };

function render({ model, el }) {
  const [stops, phases, period, about] = ["stops", "phases", "period", "about"].map((name) => model.get(name));
  const root = node("div", { class: "accrual", "data-widget": "hog-next-door" });
  const move = (name) => (index) => {
    model.set(name, stops[name][index]);
    model.save_changes();
  };
  const k = slider("k", "k × T waits, k =", stops.k.length, move("k"));
  const threshold = slider("threshold", "φ waits, Φ =", stops.threshold.length, move("threshold"));
  const bottom = ROOM.top + ROOM.row * phases.length;
  const svg = node("svg:svg", { viewBox: `0 0 760 ${bottom + 40}`, role: "img" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const most = Math.max(...phases.flatMap((one) => [one.longest, ...one.patience]), period * stops.k.at(-1)) * 1.03;
  const x = scale(0, most, ROOM.left, ROOM.right);

  const draw = () => {
    const at = stops.threshold.indexOf(model.get("threshold"));
    const wait = model.get("k") * period;
    const late = phases.filter((one) => one.longest > wait);
    const patient = phases.filter((one) => one.longest > one.patience[at]);
    const who = (list) => (list.length ? list.map((one) => `“${one.title}”`).join(" and ") : "none of the three");
    const now = `${model.get("k")} × T waits ${seconds(wait)} in every phase; some heartbeat came later in ${who(late)}. ` +
      `φ ≥ ${number(stops.threshold[at])}, once it has learned a phase, waits ` +
      `${phases.map((one) => seconds(one.patience[at])).join(", ")}; some heartbeat came later in ${who(patient)}.`;
    k.show(stops.k.indexOf(model.get("k")), `${model.get("k")}`, now);
    threshold.show(at, number(stops.threshold[at]), now);
    svg.replaceChildren(
      node("svg:text", { x: ROOM.left, y: 12 }, "intervals between heartbeats: ● mean ± deviation, | longest"),
      ...rounds(0, most).flatMap((t) => [
        node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: ROOM.top - 14, y2: bottom }),
        node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, t ? seconds(t) : "0"),
      ]),
      node("svg:line", { class: "fixed level", x1: x(wait), x2: x(wait), y1: ROOM.top - 14, y2: bottom }),
      ...phases.flatMap((one, row) => {
        const y = ROOM.top + ROOM.row * row + 20;
        return [
          node("svg:text", { class: "strong end", x: ROOM.left - 12, y: y - 2 }, one.title),
          node("svg:text", { class: "end", x: ROOM.left - 12, y: y + 14 }, `σ ${seconds(one.deviation)}, ${plural(one.heartbeats, "heartbeat")}`),
          node("svg:line", { class: "spread", x1: x(one.mean - one.deviation), x2: x(one.mean + one.deviation), y1: y, y2: y }),
          node("svg:line", { class: "stem", x1: x(one.mean), x2: x(one.longest), y1: y, y2: y }),
          node("svg:line", { class: "stem", x1: x(one.longest), x2: x(one.longest), y1: y - 8, y2: y + 8 }),
          node("svg:circle", { class: "dot", cx: x(one.mean), cy: y, r: 4.5 }),
          node("svg:g", { class: "phi" },
            node("svg:line", { class: "phi level", x1: x(one.patience[at]), x2: x(one.patience[at]), y1: y - 20, y2: y + 20 }),
            node("svg:circle", { class: "phi mark", cx: x(one.patience[at]), cy: y - 20, r: 5.5 }),
            node("svg:text", { class: "phi over-lines", x: x(one.patience[at]) + 9, y: y - 12 }, `φ: ${seconds(one.patience[at])}`)),
        ];
      }),
      node("svg:rect", { class: "fixed mark", x: x(wait) - 6, y: ROOM.top - 22, width: 12, height: 12 }),
      node("svg:text", { class: "fixed", x: x(wait) + 10, y: ROOM.top - 11 }, `k × T: ${seconds(wait)}`),
    );
    const rows = phases.map((one) => `${one.title}: mean ${seconds(one.mean)}, deviation ${seconds(one.deviation)}, longest ${seconds(one.longest)}`);
    svg.setAttribute("aria-label", `${rows.join("; ")}. ${now}`);
    words.textContent = `${now} (${about[0].toUpperCase()}${about.slice(1)}.)`;
    mirror(root, {
      k: model.get("k"), threshold: stops.threshold[at], wait, late: late.map((one) => one.name).join(" "),
      ...Object.fromEntries(phases.map((one) => [`${one.name}Patience`, one.patience[at]])),
    });
  };
  root.append(k.element, threshold.element, svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
