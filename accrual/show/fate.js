// Boxes in boxes, from a container to a datacenter. A fault stays in its box, and takes what is inside.

const CELL = { left: 30, width: 116, gap: 0, top: 96, height: 54 };
const BOXES = ["datacenter", "cluster", "host", "vm", "container"]; // from the outside in
const NAMES = { datacenter: "datacenter", cluster: "cluster", host: "host", vm: "virtual machine: one kernel, one bridge", container: "" };

function render({ model, el }) {
  const [services, faults] = [model.get("services"), model.get("faults")];
  const root = node("div", { class: "accrual", "data-widget": "fate" });
  const move = (index) => {
    model.set("fault", index);
    model.save_changes();
  };
  const fault = slider("fault", "In payment", faults.length, move);
  const svg = node("svg:svg", { viewBox: "0 0 760 196", role: "img" });
  const words = node("p", { class: "verdict", "aria-live": "polite" });
  const kinds = ["container", "network", "vm", "host", "cluster", "datacenter"];
  const step = (k) => button(k < 0 ? "←" : "→", k < 0 ? "the fault before, further in" : "the next fault, further out",
    () => move(clamp(model.get("fault") + k, 0, faults.length - 1)));

  /** The columns of the services that share each box of a kind. */
  const boxes = (kind) => {
    const at = kinds.indexOf(kind);
    const found = {};
    services.forEach((service, column) => (found[service.where[at]] ??= []).push(column));
    return Object.values(found);
  };

  const draw = () => {
    const now = faults[model.get("fault")];
    const gone = new Set(now.taken);
    const said = `${now.title}: takes ${now.taken.join(", ")}; ${services.length - now.taken.length} of ${services.length} services go on. ${now.why} ${now.measured}`;
    fault.show(model.get("fault"), now.title, said);
    // The bridge and the kernel are a virtual machine's own.
    const struck = now.domain === "network" ? "vm" : now.domain;
    svg.replaceChildren(
      ...BOXES.flatMap((kind, depth) => boxes(kind).flatMap((columns) => {
        const inset = 5 * depth;
        const top = 8 + 19 * depth;
        const left = CELL.left + columns[0] * CELL.width + inset - 20;
        const width = columns.length * CELL.width - 2 * inset;
        const hit = kind === struck && columns.includes(0);
        const narrow = columns.length === 1 && kind === "vm";
        return [
          node("svg:rect", { class: `domain${depth < 3 ? " outer" : ""}${hit ? " struck" : ""}`, x: left, y: top, width, height: 180 - 2 * top + 8, rx: 4 }),
          node("svg:text", { x: left + 5, y: top + 13 }, narrow ? "machine" : NAMES[kind]),
        ];
      })),
      ...services.flatMap(({ name }, column) => {
        const center = CELL.left + (column + 0.5) * CELL.width - 20;
        return [
          node("svg:rect", { class: `service${gone.has(name) ? " hit" : ""}`, x: center - 32, y: 88, width: 64, height: 18, rx: 3 }),
          node("svg:text", { class: `middle ${gone.has(name) ? "hit" : "strong"}`, x: center, y: 101 }, gone.has(name) ? `✗ ${name}` : name),
        ];
      }),
    );
    svg.setAttribute("aria-label", said);
    words.textContent = said;
    mirror(root, { fault: now.name, taken: now.taken.length, domain: now.domain });
  };
  root.append(node("div", { class: "row" }, step(-1), fault.element, step(1)), svg, words);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
