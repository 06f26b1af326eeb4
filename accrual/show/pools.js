// One pool of threads for all services, or one for each, while the calls of one service hang. The kernel simulates.

const LANES = { left: 232, right: 640, top: 34, row: 66, bar: 42 };

function situation(model) {
  const [stops, about, found] = ["stops", "about", "found"].map((name) => model.get(name));
  const names = Object.keys(about.services);
  const asked = Object.fromEntries(["shared", ...names, "timeout", "struck"].map((name) => [name, model.get(name)]));
  const busy = Object.entries(asked).some(([name, value]) => found.asked[name] !== value);
  const sizes = Object.fromEntries(names.map((name) => [name, asked[name]]));
  const threads = names.reduce((sum, name) => sum + sizes[name], 0);
  return { stops, about, found, names, asked, busy, sizes, threads };
}

const pool = (s) => (s.asked.shared ? `One pool of ${plural(s.threads, "thread")}` : `Pools of ${s.names.map((name) => s.sizes[name]).join(", ")} threads`);

const sentence = (s) =>
  `${pool(s)}; from ${number(s.about.strikes)} to ${number(s.about.strikes + s.about.lasts)} s each call of ${s.asked.struck} hangs for ${seconds(s.asked.timeout)}. ` +
  s.names.map((name) => `${percent(s.found.failing[name])} of ${name}`).join(", ") +
  ` requests fail. The threads are busy for ${percent(s.found.utilisation)} of the time.`;

/** The threads of a pool, as squares in rows. */
function squares(count, left, top, columns, size) {
  return Array.from({ length: count }, (_, k) =>
    node("svg:rect", { class: "thread", x: left + (k % columns) * (size + 2), y: top + Math.floor(k / columns) * (size + 2), width: size, height: size }));
}

function picture(s) {
  const { strikes, lasts, duration } = s.about;
  const x = scale(0, duration, LANES.left, LANES.right);
  const bottom = LANES.top + s.names.length * LANES.row;
  const parts = [
    node("svg:text", { x: 74, y: 12 }, s.asked.shared ? "one pool" : "a pool for each"),
    node("svg:text", { x: LANES.left, y: 12 }, "share of requests that fail, in each half second"),
    node("svg:rect", { class: "striking", x: x(strikes), y: LANES.top - 8, width: x(strikes + lasts) - x(strikes), height: bottom - LANES.top + 4 },
      node("svg:title", {}, `${s.asked.struck} hangs`)),
    ...rounds(0, duration).flatMap((t) => [
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: LANES.top - 8, y2: bottom - 4 }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 12 }, `${number(t)} s`),
    ]),
  ];
  if (s.asked.shared)
    parts.push(
      node("svg:rect", { class: "box", x: 74, y: LANES.top - 6, width: 142, height: bottom - LANES.top - 4 }),
      ...squares(s.threads, 82, LANES.top + 4, 9, 12),
    );
  s.names.forEach((name, k) => {
    const top = LANES.top + k * LANES.row;
    const struck = name === s.asked.struck;
    const values = s.found.timeline[name];
    const width = (LANES.right - LANES.left) / values.length;
    const y = scale(0, 1, top + LANES.bar, top);
    if (!s.asked.shared)
      parts.push(
        node("svg:rect", { class: "box", x: 74, y: top - 4, width: 142, height: 52 }),
        ...squares(s.sizes[name], 82, top + 4, 9, 12),
      );
    parts.push(
      node("svg:text", { class: `end ${struck ? "fixed" : "strong"}`, x: 66, y: top + 26 }, s.about.services[name]),
      ...(struck ? [node("svg:text", { class: "end fixed", x: 66, y: top + 40 }, "hangs")] : []),
      ...values.map((value, i) => node("svg:rect", {
        class: `${struck ? "fixed" : "phi"} over`, x: LANES.left + i * width + 0.5, y: y(value ?? 0), width: width - 1, height: top + LANES.bar - y(value ?? 0),
      })),
      node("svg:line", { class: "axis", x1: LANES.left, x2: LANES.right, y1: top + LANES.bar, y2: top + LANES.bar }),
      node("svg:text", { class: `strong`, x: LANES.right + 12, y: top + 20 }, percent(s.found.failing[name])),
      node("svg:text", { x: LANES.right + 12, y: top + 36 }, "fail meanwhile"),
    );
  });
  return parts;
}

function render({ model, el }) {
  const stops = model.get("stops");
  const services = model.get("about").services;
  const root = node("div", { class: "accrual", "data-widget": "pools" });
  const move = mover(model);
  const layout = radios("shared", "Threads", [["true", "one pool for all"], ["false", "a pool for each (bulkheads)"]], (value) => move("shared", value === "true"));
  const struck = radios("struck", "What hangs", Object.entries(services), (name) => move("struck", name));
  const sliders = Object.fromEntries([
    ...Object.entries(services).map(([name, title]) => [name, slider(name, `Threads for ${title.toLowerCase()}`, stops.size.length, (index) => move(name, stops.size[index]))]),
    ["timeout", slider("timeout", "A call gives up after", stops.timeout.length, (index) => move("timeout", stops.timeout[index]))],
  ]);
  const svg = node("svg:svg", { viewBox: "0 0 760 256", role: "img", class: "waits" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    layout.show(String(s.asked.shared));
    struck.show(s.asked.struck);
    for (const name of s.names)
      sliders[name].show(stops.size.indexOf(s.sizes[name]), count(s.sizes[name]), `${plural(s.sizes[name], "thread")} for ${name}: ${s.busy ? "computing" : now}`);
    sliders.timeout.show(stops.timeout.indexOf(s.asked.timeout), seconds(s.asked.timeout), `a call gives up after ${seconds(s.asked.timeout)}: ${s.busy ? "computing" : now}`);
    svg.replaceChildren(...picture(s));
    svg.setAttribute("aria-label", now);
    words.textContent = now;
    code.textContent =
      `accrual.show.pools.pools(${JSON.stringify(s.sizes)}, shared=${s.asked.shared ? "True" : "False"}, struck="${s.asked.struck}", timeout=${s.asked.timeout})`;
    const shares = Object.fromEntries(s.names.map((name) => [`failing${s.about.services[name]}`, s.found.failing[name]]));
    mirror(root, { busy: s.busy, ...s.asked, ...shares, blast: s.found.blast, utilisation: s.found.utilisation });
    root.setAttribute("aria-busy", s.busy);
  };
  root.append(
    node("div", { class: "controls" }, layout.element, struck.element, ...Object.values(sliders).map(({ element }) => element)),
    svg, words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
