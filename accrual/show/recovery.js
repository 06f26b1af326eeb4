// A few nodes, isolated when they fail; the chance that one of them works, with and without recovery, over a year.

const PLOT = { left: 56, right: 740, top: 26, bottom: 206 };

function picture(days, isolated, recovered) {
  const x = scale(0, days.at(-1), PLOT.left, PLOT.right);
  const y = scale(0, 1, PLOT.bottom, PLOT.top);
  const parts = [node("svg:text", { x: PLOT.left, y: 14 }, "chance that the service works")];
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    parts.push(
      node("svg:line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y(share), y2: y(share) }),
      node("svg:text", { class: "end", x: PLOT.left - 8, y: y(share) + 4 }, `${100 * share} %`),
    );
  for (const day of [0, 90, 180, 270, 360])
    parts.push(node("svg:text", { class: "middle", x: x(day), y: PLOT.bottom + 18 }, `${day}`));
  const path = (values) => line(values.map((value, k) => [x(days[k]), y(value)]));
  const near = Math.round(days.length / 5);
  parts.push(
    node("svg:text", { class: "end", x: PLOT.right, y: PLOT.bottom + 34 }, "days"),
    node("svg:path", { class: "fixed curve", d: path(isolated.service) }),
    node("svg:path", { class: "phi curve", d: path(recovered.service) }),
    node("svg:text", { class: "fixed", x: x(days[near]) + 8, y: y(isolated.service[near]) - 6 }, "isolate only"),
    node("svg:text", { class: "phi end", x: PLOT.right - 6, y: Math.min(y(recovered.service.at(-1)) + 20, PLOT.bottom - 8) }, "isolate and recover"),
  );
  return parts;
}

/** A chance in per cent; where it is nearly 1, all its nines. */
function chance(p) {
  const nines = Math.min(Math.ceil(-Math.log10(1 - p)), 14);
  return `${nines > 2 ? (100 * p).toFixed(nines - 1) : number(100 * p)} %`;
}

function long(s) {
  const days = s / 86400;
  return days < 730 ? `${number(days)} days` : `${number(days / 365.25)} years`;
}

function render({ model, el }) {
  const [days, repairs, isolated, recovered] = ["days", "repairs", "isolated", "recovered"].map((name) => model.get(name));
  const root = node("div", { class: "accrual", "data-widget": "recovery" });
  const svg = node("svg:svg", { viewBox: "0 0 760 246", role: "img" });
  const words = node("p");
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const number_of_nodes = slider("nodes", "Nodes", isolated.length, (index) => set("nodes", index + 1));
  const repair = slider("repair", "Time to repair, MTTR", repairs.length, (index) => set("repair", index));
  const draw = () => {
    const [nodes, stop] = [model.get("nodes"), model.get("repair")];
    const [alone, again] = [isolated[nodes - 1], recovered[nodes - 1][stop]];
    const text =
      `${plural(nodes, "node")}, each failing once in 30 days on average. Isolated only, one still works after a year with a ` +
      `chance of ${chance(alone.service.at(-1))}; the last one fails after ${long(alone.outage)} on average. Repaired in ${repairs[stop]}: ` +
      `${chance(again.service.at(-1))}, and the first moment without any comes after ${long(again.outage)}.`;
    svg.replaceChildren(...picture(days, alone, again));
    svg.setAttribute("aria-label", text);
    words.textContent = text;
    number_of_nodes.show(nodes - 1, `${nodes}`, text);
    repair.show(stop, repairs[stop], text);
    mirror(root, {
      nodes,
      repair: stop,
      isolatedService: alone.service.at(-1),
      isolatedOutage: alone.outage,
      recoveredService: again.service.at(-1),
      recoveredOutage: again.outage,
    });
  };
  root.append(node("div", { class: "controls" }, number_of_nodes.element, repair.element), svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
