// What an outage costs on average, by how long one waits before a backup is promoted.

const BOX = { left: 60, right: 740, top: 26, bottom: 260 };

function render({ model, el }) {
  const stops = model.get("stops");
  const curves = model.get("curves");
  const root = node("div", { class: "accrual", "data-widget": "wait-or-promote" });
  const svg = node("svg:svg", { viewBox: "0 0 760 312", role: "img" });
  const words = node("p");
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const sliders = Object.fromEntries(
    [["wait", "Wait"], ["penalty", "Costs besides"], ["permanent", "Never end"]].map(
      ([name, label]) => [name, slider(name, label, stops[name].length, (at) => set(name, stops[name][at]))],
    ),
  );
  const select = node("select", { "data-choice": "shown", ...KEYBOARD });
  select.append(...Object.keys(curves).map((name) => node("option", { value: name }, name)));
  select.addEventListener("change", () => set("shown", select.value));
  const { wait: waits } = stops;
  const near = waits[1] / 2; // where no wait is drawn, left of the logarithmic rest
  const x = scale(near, waits.at(-1), BOX.left, BOX.right, true);
  const all = Object.values(curves).flat(2).flatMap((curve) => curve.cost);
  const [low, high] = [Math.max(Math.min(...all), 0.1), Math.max(...all)];
  const y = scale(low, high, BOX.bottom, BOX.top, true);

  const draw = () => {
    const at = Object.fromEntries(Object.keys(sliders).map((name) => [name, stops[name].indexOf(model.get(name))]));
    const curve = curves[model.get("shown")][at.penalty][at.permanent];
    const best = waits.indexOf(curve.best);
    const [wait, cost] = [waits[at.wait], curve.cost[at.wait]];
    const parts = [node("svg:text", { x: 4, y: 14 }, "expected cost of an outage; ◯ the cheapest wait")];
    for (const c of decades(low, high))
      parts.push(
        node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(c), y2: y(c) }),
        node("svg:text", { class: "end", x: BOX.left - 8, y: y(c) + 4 }, seconds(c)),
      );
    for (const t of decades(waits[1], waits.at(-1))) parts.push(node("svg:text", { class: "middle", x: x(t), y: BOX.bottom + 20 }, seconds(t)));
    parts.push(
      node("svg:text", { class: "middle", x: x(near), y: BOX.bottom + 20 }, "0"),
      node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 40 }, "so long one waits before a backup is promoted"),
      node("svg:path", { class: "phi curve", d: line(waits.map((t, k) => [x(t), y(curve.cost[k])])) }),
      node("svg:line", { class: "chosen", x1: x(wait), x2: x(wait), y1: BOX.top, y2: BOX.bottom }),
      node("svg:circle", { class: "best", cx: x(curve.best), cy: y(curve.cost[best]), r: 9 }),
      node("svg:circle", { class: "phi mark", cx: x(wait), cy: y(cost), r: 6 }),
    );
    svg.replaceChildren(...parts);
    const said =
      `Waiting ${seconds(wait)}: an outage costs ${seconds(cost)} on average, and ${number(100 * curve.promoted[at.wait])} % end in a failover. ` +
      `The cheapest wait is ${seconds(curve.best)}: ${seconds(curve.cost[best])}.`;
    words.textContent = said;
    svg.setAttribute("aria-label", said);
    sliders.wait.show(at.wait, seconds(wait), said);
    sliders.penalty.show(at.penalty, seconds(model.get("penalty")), `A failover costs ${seconds(model.get("penalty"))} besides. ${said}`);
    const never = `${number(100 * model.get("permanent"))} %`;
    sliders.permanent.show(at.permanent, never, `${never} of the outages never end by themselves. ${said}`);
    select.value = model.get("shown");
    mirror(root, {
      shown: model.get("shown"), wait, penalty: model.get("penalty"), permanent: model.get("permanent"),
      cost, promoted: curve.promoted[at.wait], best: curve.best, lowest: curve.cost[best],
    });
  };
  root.append(
    node("label", { class: "row" }, "Outages ", select), svg, sliders.wait.element,
    node("div", { class: "controls" }, sliders.penalty.element, sliders.permanent.element), words,
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
