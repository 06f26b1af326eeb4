// What a watcher reports that stalls itself, with and without a guard. Every report is the library's own watch's.

const LANES = { left: 60, right: 738, top: 40, row: 22 };

function situation(model) {
  const lengths = model.get("stops").length;
  const length = model.get("length");
  const index = lengths.indexOf(length);
  const guarded = model.get("guarded");
  const about = model.get("about");
  const reports = model.get("reports")[index][Number(guarded)];
  const wrong = reports.filter((report) => !report.true);
  const found = reports.find((report) => report.true);
  return { lengths, length, index, guarded, about, reports, wrong, found };
}

function sentence(s) {
  const stall = s.length ? `The watcher stalls for ${seconds(s.length)}` : "The watcher does not stall";
  const last = s.about.peers.at(-1);
  const found = s.found
    ? `${last}, which really fell silent, is reported ${seconds(s.found.at - s.about.stopped[0])} after that`
    : `${last}, which really fell silent, is never reported`;
  return `${stall}, ${s.guarded ? "and minds it" : "and does not mind it"}: ${plural(s.wrong.length, "wrong suspicion")} of ` +
    `${s.about.peers.length} peers. ${found}.`;
}

function picture(s) {
  const { peers, shown, stall, stopped, grace } = s.about;
  const x = scale(...shown, LANES.left, LANES.right);
  const bottom = LANES.top + LANES.row * peers.length;
  const band = (name, from, to, top, height, title) =>
    node("svg:rect", { class: name, x: x(from), y: top, width: Math.max(x(to) - x(from), 0), height }, node("svg:title", {}, title));
  return [
    node("svg:text", { x: 4, y: 12 }, "reported as suspected, peer by peer"),
    ...rounds(...shown).flatMap((t) => [
      node("svg:line", { class: "grid", x1: x(t), x2: x(t), y1: LANES.top, y2: bottom }),
      node("svg:text", { class: "middle", x: x(t), y: bottom + 16 }, `${number(t)} s`),
    ]),
    ...(s.length ? [
      band("stall", stall, stall + s.length, LANES.top, bottom - LANES.top, "the watcher stalls"),
      node("svg:text", { x: x(stall), y: LANES.top - 8 }, "the watcher stalls"),
    ] : []),
    ...(s.guarded && s.length > 0.1 ? [
      node("svg:line", { class: "promise", x1: x(stall + s.length + grace), x2: x(stall + s.length + grace), y1: LANES.top, y2: bottom },
        node("svg:title", {}, "until here nobody is suspected")),
    ] : []),
    band("silent", ...stopped, bottom - LANES.row + 2, LANES.row - 4, "this peer really is silent"),
    ...[...peers].flatMap((peer, k) => {
      const top = LANES.top + LANES.row * k;
      return [
        node("svg:line", { class: "grid", x1: LANES.left, x2: LANES.right, y1: top + LANES.row, y2: top + LANES.row }),
        node("svg:text", { class: "end", x: LANES.left - 8, y: top + 15 }, peer),
        ...s.reports.filter((report) => report.peer === peer).map((report) =>
          node("svg:rect", {
            class: `${report.true ? "phi" : "fixed"} over`, x: x(report.at) - 1, y: top + 5,
            width: Math.max(x(report.until ?? shown[1]) - x(report.at), 4), height: LANES.row - 10,
          }, node("svg:title", {}, `${peer}: ${report.true ? "a true suspicion" : "a wrong suspicion"}`))),
        ...s.wrong.filter((report) => report.peer === peer).map((report) =>
          node("svg:text", { class: "fixed", x: x(report.until ?? report.at) + 7, y: top + 16 }, "✗")),
      ];
    }),
  ];
}

function render({ model, el }) {
  const lengths = model.get("stops").length;
  const root = node("div", { class: "accrual", "data-widget": "own-pause" });
  const move = mover(model);
  const length = slider("length", "Stall", lengths.length, (index) => move("length", lengths[index]));
  const guard = node("input", { type: "checkbox", "data-switch": "guarded", ...KEYBOARD });
  guard.addEventListener("change", () => move("guarded", guard.checked));
  const height = LANES.top + LANES.row * model.get("about").peers.length + 24;
  const lanes = node("svg:svg", { viewBox: `0 0 760 ${height}`, role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    length.show(s.index, seconds(s.length), now);
    guard.checked = s.guarded;
    lanes.replaceChildren(...picture(s));
    lanes.setAttribute("aria-label", `Suspicions reported, peer by peer. ${now}`);
    words.textContent = now;
    code.textContent =
      `async for change in ac.aio.watch(monitors, lateness=${s.guarded ? 0.1 : 3600}, grace=${s.about.grace}):\n    print(change)`;
    mirror(root, {
      length: s.length, guarded: s.guarded, reported: s.reports.length, wrong: s.wrong.length, found: s.found?.at,
    });
  };
  root.append(
    length.element, node("label", { class: "check" }, guard, "A guard: the watcher minds its own stalls"),
    lanes, words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
