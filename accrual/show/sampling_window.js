// Step 1: heartbeats enter a ring of slots.

const RING = { x: 130, y: 128, radius: 92 };
const BARS = { left: 330, right: 750, top: 22, bottom: 206 };

/** The ring of slots, and the intervals between the times it holds as bars. */
function picture(step, longest) {
  const parts = [];
  const next = step.slots.includes(null) ? 0 : Math.min(...step.slots); // who will have to go
  step.slots.forEach((heartbeat, slot) => {
    const angle = (2 * Math.PI * slot) / step.slots.length - Math.PI / 2;
    const x = RING.x + RING.radius * Math.cos(angle);
    const y = RING.y + RING.radius * Math.sin(angle);
    const kind = heartbeat === null ? "empty" : heartbeat === step.arrived ? "newest" : "";
    parts.push(node("svg:circle", { class: `slot ${kind}`, cx: x, cy: y, r: 22 }));
    if (heartbeat === next) parts.push(node("svg:circle", { class: "slot empty", cx: x, cy: y, r: 27 }));
    if (heartbeat !== null) parts.push(node("svg:text", { class: `middle strong ${kind}`, x, y: y + 4 }, name(heartbeat)));
  });
  parts.push(
    node("svg:text", { class: "middle strong", x: RING.x, y: RING.y - 6 }, plural(held(step), "time")),
    node("svg:text", { class: "middle strong", x: RING.x, y: RING.y + 12 }, plural(step.intervals.length, "interval")),
  );
  if (step.evicted) parts.push(node("svg:text", { class: "middle", x: RING.x, y: RING.y + 30 }, `${name(step.evicted)} is gone`));
  if (next) parts.push(node("svg:text", { class: "middle", x: RING.x, y: RING.y - 24 }, `next to go: ${name(next)}`));
  return [...parts, ...bars(step, longest)];
}

function bars(step, longest) {
  const slots = step.slots.length - 1;
  const y = scale(0, 1.1 * longest, BARS.bottom, BARS.top);
  const [suffix, size] = unit(longest);
  const of = (s) => `${(s / size).toFixed(3)} ${suffix}`;
  const width = (BARS.right - BARS.left) / slots;
  const parts = [
    node("svg:line", { class: "axis", x1: BARS.left, x2: BARS.right, y1: BARS.bottom, y2: BARS.bottom }),
  ];
  const first = step.arrived - step.intervals.length;
  step.intervals.forEach((interval, k) => {
    const middle = BARS.left + (k + 0.5) * width;
    parts.push(
      node("svg:rect", { class: "bar", x: middle - width * 0.3, width: width * 0.6, y: y(interval), height: BARS.bottom - y(interval) }),
      node("svg:text", { class: "middle strong", x: middle, y: BARS.bottom - 6 }, (interval / size).toFixed(1)),
      node("svg:text", { class: "middle", x: middle, y: BARS.bottom + 16 }, `${name(first + k + 1)}−`),
      node("svg:text", { class: "middle", x: middle, y: BARS.bottom + 30 }, name(first + k)),
    );
  });
  if (step.mean === null) {
    parts.push(node("svg:text", { class: "middle", x: (BARS.left + BARS.right) / 2, y: BARS.bottom - 6 }, "no interval yet"));
  } else {
    const [low, high] = [step.mean - step.deviation, step.mean + step.deviation];
    parts.push(
      node("svg:rect", { class: "phi area", x: BARS.left, width: BARS.right - BARS.left, y: y(high), height: y(low) - y(high) }),
      node("svg:line", { class: "phi level", x1: BARS.left, x2: BARS.right, y1: y(step.mean), y2: y(step.mean) }),
      node("svg:text", { class: "phi", x: BARS.left, y: BARS.top - 8 },
        `mean μ = ${of(step.mean)} (line), deviation σ = ${of(step.deviation)} (band)`),
    );
  }
  return parts;
}

const name = (heartbeat) => `t${heartbeat}`;
const held = (step) => step.slots.filter((heartbeat) => heartbeat !== null).length;

function sentence(step) {
  const place = step.evicted
    ? `takes the slot of ${name(step.evicted)}, the oldest`
    : "takes an empty slot";
  const known = `${plural(held(step), "arrival time")}, ${plural(step.intervals.length, "interval")}`;
  return `Heartbeat ${step.arrived} arrives at ${seconds(step.at, 4)} and ${place}. The window now holds ${known}.`;
}

function render({ model, el }) {
  const steps = model.get("steps");
  const longest = Math.max(1e-9, ...steps.flatMap((step) => step.intervals)); // of all, so that bars keep their height
  const root = node("div", { class: "accrual", "data-widget": "sampling-window" });
  const svg = node("svg:svg", { viewBox: "0 0 760 250", role: "img" });
  const words = node("p");
  const go = (arrived) => {
    model.set("arrived", clamp(arrived, 1, steps.length));
    model.save_changes();
  };
  const back = button("◀", "One heartbeat back", () => go(model.get("arrived") - 1));
  const forward = button("▶", "One heartbeat forward", () => go(model.get("arrived") + 1));
  const scrubber = slider("arrived", "Heartbeats arrived", steps.length, (index) => go(index + 1));

  const draw = () => {
    const step = steps[model.get("arrived") - 1];
    svg.replaceChildren(...picture(step, longest));
    svg.setAttribute("aria-label", sentence(step));
    words.textContent = sentence(step);
    scrubber.show(step.arrived - 1, `${step.arrived}`, sentence(step));
    back.disabled = step.arrived === 1;
    forward.disabled = step.arrived === steps.length;
    mirror(root, {
      arrived: step.arrived,
      evicted: step.evicted ?? 0,
      times: held(step),
      intervals: step.intervals.length,
      mean: step.mean,
      deviation: step.deviation,
    });
  };
  root.append(node("div", { class: "row" }, scrubber.element, back, forward), svg, words);
  model.on("change:arrived", draw);
  draw();
  el.append(root);
  return () => model.off("change:arrived", draw);
}

export default { render };
