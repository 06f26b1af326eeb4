// What a fault takes with it: services in processes on machines. Who is reached, the library's rules said beforehand.

function situation(model) {
  const [layouts, faults, services] = ["layouts", "faults", "services"].map((name) => model.get(name));
  const layout = layouts.find(({ name }) => name === model.get("arrangement"));
  const fault = faults[model.get("fault")];
  const struck = model.get("struck");
  const taken = layout.taken[fault.name][struck];
  // The lab struck payment alone; of a fault in another service it knows nothing.
  const measured = struck === "payment" ? layout.measured[fault.name] : undefined;
  return { layouts, faults, services, layout, fault, struck, taken, measured };
}

const sentence = (s) =>
  `${s.fault.title} in ${s.struck}, ${s.layout.title}: it takes ${s.taken.length} of ${s.services.length} services, ${s.taken.join(", ")}.`;

function picture(s) {
  const parts = [];
  const [top, height] = [30, 150];
  const machines = s.layout.machines;
  const total = 720 - 16 * (machines.length - 1);
  let left = 20;
  machines.forEach((processes, m) => {
    const inside = processes.flat();
    const width = (total * inside.length) / s.services.length;
    const gone = ["plug", "kernel-panic"].includes(s.fault.name) && inside.includes(s.struck);
    parts.push(
      node("svg:rect", { class: `machine${gone ? " gone" : ""}`, x: left, y: top, width, height }),
      node("svg:text", { x: left + 8, y: top - 8 }, `machine ${m + 1}${gone ? `: ${s.fault.title.toLowerCase()}` : ""}`),
    );
    let x = left + 12;
    for (const process of processes) {
      const wide = ((width - 12 - 12 * processes.length) * process.length) / inside.length;
      const ended = s.fault.effect === "gone" && process.some((name) => s.taken.includes(name));
      parts.push(
        node("svg:rect", { class: `process${ended ? " gone" : ""}`, x, y: top + 28, width: wide, height: height - 42 }),
        node("svg:text", { x: x + 8, y: top + 22 }, "process"),
      );
      process.forEach((name, k) => {
        const step = wide / process.length;
        const hit = s.taken.includes(name);
        const cx = x + step * (k + 0.5);
        parts.push(
          node("svg:rect", { class: `service${hit ? " hit" : ""}`, x: cx - step / 2 + 12, y: top + 42, width: step - 24, height: height - 70, rx: 8 }),
          node("svg:text", { class: `middle strong`, x: cx, y: top + 66 }, name),
          node("svg:text", { class: `middle ${hit ? "fixed" : "phi"}`, x: cx, y: top + 86 }, hit ? `✗ ${s.fault.effect}` : "✓ works on"),
          ...(name === s.struck ? [node("svg:text", { class: "middle fixed", x: cx, y: top + 106 }, "the fault is here")] : []),
        );
      });
      x += wide + 12;
    }
    left += width + 16;
  });
  return parts;
}

function render({ model, el }) {
  const root = node("div", { class: "accrual", "data-widget": "blast" });
  const move = mover(model);
  const first = situation(model);
  const layout = radios("arrangement", "The shop runs as", first.layouts.map(({ name, title }) => [name, title]), (name) => move("arrangement", name));
  const struck = radios("struck", "The fault is in", first.services.map((name) => [name, name]), (name) => move("struck", name));
  const fault = slider("fault", "Fault", first.faults.length, (index) => move("fault", index));
  fault.element.classList.add("wide");
  const svg = node("svg:svg", { viewBox: "0 0 760 190", role: "img" });
  const words = node("p");
  const lab = node("p");
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    layout.show(s.layout.name);
    struck.show(s.struck);
    fault.show(s.faults.indexOf(s.fault), s.fault.title, now);
    svg.replaceChildren(...picture(s));
    svg.setAttribute("aria-label", now);
    words.textContent = `${now} ${s.fault.why}`;
    lab.textContent = s.measured === undefined ? "The lab did not do this one."
      : `In the lab, with real ${s.layout.name}: ${s.measured} of ${s.services.length} services failed.`;
    mirror(root, { arrangement: s.layout.name, fault: s.fault.name, struck: s.struck, taken: s.taken.length, who: s.taken.join(" "), measured: s.measured });
  };
  root.append(node("div", { class: "controls" }, layout.element, struck.element), fault.element, svg, words, lab);
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
