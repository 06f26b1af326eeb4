// Failovers of a primary that is well, against the time after which it is decided that a dead one is down.

const BOX = { left: 60, right: 740, top: 26, bottom: 270 };

function render({ model, el }) {
  const { k: ks, phi: phis } = model.get("stops");
  const prices = model.get("prices");
  const root = node("div", { class: "accrual", "data-widget": "needless" });
  const svg = node("svg:svg", { viewBox: "0 0 760 320", role: "img" });
  const words = [node("p"), node("p")];
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const sliders = {
    phi: slider("phi", "Threshold Φ", phis.length, (at) => set("phi", phis[at])),
    k: slider("k", "Misses in a row k", ks.length, (at) => set("k", ks[at])),
  };
  const select = node("select", { "data-choice": "decides", ...KEYBOARD });
  select.append(...Object.keys(prices).map((name) => node("option", { value: name }, name)));
  select.addEventListener("change", () => set("decides", select.value));
  const all = Object.values(prices).flatMap((found) => [...found.phi, ...found.fixed]);
  const x = scale(0, Math.max(...all.map((row) => row.detection)) * 1.05, BOX.left, BOX.right);
  const most = Math.max(...all.map((row) => row.needless));
  const up = scale(1, most, BOX.bottom - 34, BOX.top, true);
  const y = (n) => (n ? up(n) : BOX.bottom);

  const draw = () => {
    const found = prices[model.get("decides")];
    const at = { phi: phis.indexOf(model.get("phi")), fixed: ks.indexOf(model.get("k")) };
    const parts = [node("svg:text", { x: 4, y: 14 }, "needless failovers in five minutes, none at the bottom; hollow: other thresholds")];
    for (const n of [0, ...decades(1, most)])
      parts.push(
        node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(n), y2: y(n) }),
        node("svg:text", { class: "end", x: BOX.left - 8, y: y(n) + 4 }, count(n)),
      );
    const end = Math.max(...all.map((row) => row.detection)) * 1.05;
    for (const t of rounds(0, end)) parts.push(node("svg:text", { class: "middle", x: x(t), y: BOX.bottom + 22 }, t ? seconds(t) : "0"));
    parts.push(node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 40 }, "so long after a real crash a failover is decided on"));
    for (const name of ["phi", "fixed"]) {
      parts.push(node("svg:path", { class: `${name} curve`, d: line(found[name].map((row) => [x(row.detection), y(row.needless)])) }));
      found[name].forEach((row, k) => {
        const [cx, cy, kind] = [x(row.detection), y(row.needless), `${name} ${k === at[name] ? "mark" : "open"}`];
        const size = k === at[name] ? 8 : 4;
        parts.push(
          name === "phi"
            ? node("svg:circle", { class: kind, cx, cy, r: size })
            : node("svg:rect", { class: kind, x: cx - size, y: cy - size, width: 2 * size, height: 2 * size }),
        );
      });
      const row = found[name][at[name]];
      const label = name === "phi" ? `Φ = ${row.threshold}` : `k = ${row.threshold}`;
      parts.push(node("svg:text", { class: name, x: x(row.detection) + 12, y: y(row.needless) + (name === "phi" ? -8 : -10) }, label));
    }
    svg.replaceChildren(...parts);
    const said = ["phi", "fixed"].map((name, k) => {
      const row = found[name][at[name]];
      const text =
        `${name === "phi" ? "Φ" : "k"} = ${row.threshold}: ${seconds(row.detection)} after a crash a failover is decided on. Without any crash, in five minutes: ` +
        `${plural(row.needless, "needless failover")}, ${seconds(row.unavailable)} without writes, ${plural(row.lost, "acknowledged write")} lost.`;
      words[k].textContent = text;
      return text;
    });
    svg.setAttribute("aria-label", `${model.get("decides")} decides. ${said.join(" ")}`);
    sliders.phi.show(at.phi, number(model.get("phi")), said[0]);
    sliders.k.show(at.fixed, number(model.get("k")), said[1]);
    select.value = model.get("decides");
    const [p, f] = [found.phi[at.phi], found.fixed[at.fixed]];
    mirror(root, {
      decides: model.get("decides"), phi: p.threshold, k: f.threshold,
      phiNeedless: p.needless, phiDetection: p.detection, phiUnavailable: p.unavailable, phiLost: p.lost,
      fixedNeedless: f.needless, fixedDetection: f.detection, fixedUnavailable: f.unavailable, fixedLost: f.lost,
    });
  };
  root.append(
    node("label", { class: "row" }, "Who decides on a failover ", select), svg,
    node("div", { class: "controls" }, sliders.phi.element, sliders.k.element), ...words,
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
