// One pool of threads for all services, or one for each, while the calls of one service hang. The kernel simulates.

const LANES = { left: 232, right: 640, top: 34, row: 66, bar: 42 };

function situation(model) {
  const [stops, about, found] = ["stops", "about", "found"].map((name) => model.get(name));
  const names = Object.keys(about.services);
  const asked = Object.fromEntries(["shared", "struck", "threads", "timeout"].map((name) => [name, model.get(name)]));
  const busy = Object.entries(asked).some(([name, value]) => found.asked[name] !== value);
  const sizes = Object.fromEntries(names.map((name) => [name, asked.threads / names.length]));
  return { stops, about, found, names, asked, busy, sizes, threads: asked.threads };
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

function render(page) {
  const { model } = page;
  const [stops, chosen] = [model.get("stops"), model.get("controls")];
  const services = model.get("about").services;
  const move = mover(model);
  const all = {
    shared: radios("shared", "Threads", [["true", "one pool for all"], ["false", "a pool for each (bulkheads)"]], (value) => move("shared", value === "true")),
    struck: radios("struck", "What hangs", Object.entries(services), (name) => move("struck", name)),
    threads: slider("threads", "Threads in all", stops.threads.length, (index) => move("threads", stops.threads[index])),
    timeout: slider("timeout", "A call gives up after", stops.timeout.length, (index) => move("timeout", stops.timeout[index])),
  };
  const frame = node("div", { class: "controls" }, ...chosen.map((name) => all[name].element));
  const { root, show, mount } = framed(page, "pools", "0 0 760 256", [frame], { kind: "waits" });

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    all.shared.show(String(s.asked.shared));
    all.struck.show(s.asked.struck);
    all.threads.show(stops.threads.indexOf(s.threads), count(s.threads), `${plural(s.threads, "thread")} in all: ${s.busy ? "computing" : now}`);
    all.timeout.show(stops.timeout.indexOf(s.asked.timeout), seconds(s.asked.timeout), `a call gives up after ${seconds(s.asked.timeout)}: ${s.busy ? "computing" : now}`);
    show(now, picture(s),
      `accrual.show.pools.pools(${JSON.stringify(s.sizes)}, shared=${s.asked.shared ? "True" : "False"}, struck="${s.asked.struck}", timeout=${s.asked.timeout})`);
    const shares = Object.fromEntries(s.names.map((name) => [`failing${s.about.services[name]}`, s.found.failing[name]]));
    mirror(root, { busy: s.busy, ...s.asked, ...shares, blast: s.found.blast, utilisation: s.found.utilisation });
    root.setAttribute("aria-busy", s.busy);
  };
  return mount(draw);
}

export default { render };
