// Boxes in boxes, from a container to a datacenter. A fault stays in its box, and takes what is inside.

const CELL = { left: 14, width: 122 };
const STEP = 20; // from the top of a box to that of the box inside it
const BOXES = ["datacenter", "cluster", "host", "vm"]; // from the outside in; the containers are the services' own boxes
const NAMES = { datacenter: "datacenter", cluster: "cluster", host: "host", vm: "VM" };

function render({ model, el }) {
  const [services, faults] = [model.get("services"), model.get("faults")];
  const root = node("div", { class: "accrual", "data-widget": "fate" });
  const move = (index) => {
    model.set("fault", index);
    model.save_changes();
  };
  const fault = slider("fault", "In payment", faults.length, move);
  const svg = node("svg:svg", { viewBox: "0 0 760 188", role: "img" });
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
      node("svg:text", { x: CELL.left, y: 12 }, "boxes with a name in them are containers"),
      ...BOXES.flatMap((kind, depth) => boxes(kind).flatMap((columns) => {
        const inset = 2 + 6 * depth;
        const top = 22 + STEP * depth;
        const left = CELL.left + columns[0] * CELL.width + inset;
        const hit = kind === struck && columns.includes(0);
        return [
          node("svg:rect", {
            class: `domain${depth < 3 ? " outer" : ""}${hit ? " struck" : ""}`, x: left, y: top,
            width: columns.length * CELL.width - 2 * inset, height: 160 - (STEP + 6) * depth, rx: 4,
          }),
          node("svg:text", { x: left + 6, y: top + 14 }, kind === "vm" && columns.length > 1 ? "VM: one kernel, one bridge" : NAMES[kind]),
        ];
      })),
      ...services.flatMap(({ name }, column) => {
        const center = CELL.left + (column + 0.5) * CELL.width;
        return [
          node("svg:rect", { class: `service${gone.has(name) ? " hit" : ""}`, x: center - 37, y: 106, width: 74, height: 40, rx: 3 }),
          node("svg:text", { class: `middle ${gone.has(name) ? "hit" : "strong"}`, x: center, y: 130 }, gone.has(name) ? `✗ ${name}` : name),
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
