// Three arrangements of the same services: workers paid for, those that are busy, and what a hang of one refuses.

const BARS = { left: 230, right: 560, top: 34, row: 46 };
const TITLES = { machines: "a machine of its own for each", bulkheads: "a container for each, shared hosts", pool: "one pool for all" };

function render({ model, el }) {
  const [stops, found] = [model.get("stops"), model.get("found")];
  const root = node("div", { class: "accrual", "data-widget": "utilisation" });
  const move = (name) => (index) => {
    model.set(name, stops[name][index]);
    model.save_changes();
  };
  const services = slider("services", "Services", stops.services.length, move("services"));
  const load = slider("load", "Busy workers in all", stops.load.length, move("load"));
  const svg = node("svg:svg", { viewBox: "0 0 760 176", role: "img" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const percent = (share) => `${number(100 * share, 3)} %`;

  const draw = () => {
    const [i, j] = [stops.services.indexOf(model.get("services")), stops.load.indexOf(model.get("load"))];
    const rows = found[i][j];
    const by = Object.fromEntries(rows.map((row) => [row.name, row]));
    const up = by.bulkheads.utilisation / by.machines.utilisation;
    const down = by.bulkheads.utilisation / by.pool.utilisation;
    const now = `${plural(stops.services[i], "service")}: containers are ${percent(by.bulkheads.utilisation)} busy, × ${number(up, 3)} of what ` +
      `machines of their own are, and × ${number(down, 3)} of what one pool is. While one hangs they refuse ` +
      `${percent(by.bulkheads.refused)} of all requests, the pool ${percent(by.pool.refused)}.`;
    services.show(i, count(stops.services[i]), now);
    load.show(j, number(stops.load[j]), now);
    const x = scale(0, Math.max(...rows.map((row) => row.workers)), BARS.left, BARS.right);
    svg.replaceChildren(
      node("svg:text", { x: BARS.left, y: 12 }, "workers paid for; shaded: busy on average"),
      node("svg:text", { class: "end", x: 752, y: 12 }, "refused while one hangs"),
      ...rows.flatMap((row, k) => {
        const y = BARS.top + BARS.row * k;
        return [
          node("svg:text", { class: "strong end", x: BARS.left - 12, y: y + 18 }, TITLES[row.name]),
          node("svg:rect", { class: "spare", x: BARS.left, y, width: x(row.workers) - BARS.left, height: 28 }),
          node("svg:rect", { class: "busy", x: BARS.left, y, width: (x(row.workers) - BARS.left) * row.utilisation, height: 28 }),
          node("svg:text", { class: "strong", x: x(row.workers) + 8, y: y + 18 }, `${count(row.workers)}, ${percent(row.utilisation)}`),
          node("svg:text", { class: "end strong", x: 752, y: y + 18 }, percent(row.refused)),
        ];
      }),
    );
    const all = rows.map((row) => `${TITLES[row.name]}: ${plural(row.workers, "worker")}, ${percent(row.utilisation)} busy`);
    svg.setAttribute("aria-label", `${all.join("; ")}. ${now}`);
    words.textContent = now;
    mirror(root, { services: stops.services[i], load: stops.load[j],
      ...Object.fromEntries(rows.flatMap((row) => [[`${row.name}Workers`, row.workers], [`${row.name}Utilisation`, row.utilisation]])) });
  };
  root.append(services.element, load.element, svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
