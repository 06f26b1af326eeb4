// What Phi really is when the window is small. Every number was computed by the library.

function situation(model) {
  const { window: windows, threshold: thresholds } = model.get("stops");
  const [window, threshold] = [model.get("window"), model.get("threshold")];
  const [row, k] = [windows.indexOf(window), thresholds.indexOf(threshold)];
  const found = model.get("windows")[row];
  const pick = (table) => Object.fromEntries(Object.entries(table).map(([name, values]) => [name, values[k]]));
  return {
    windows, thresholds, window, threshold, row, k, found, phi: pick(found.phi), student: pick(found.student),
    exact: 10 ** -found.really[k], really: found.really[k], patience: found.patience[k],
  };
}

const sentence = (s) =>
  `A window of ${count(s.window)}: Φ = ${number(s.threshold)} promises ${oneIn(s.phi.promised)} heartbeats late. ` +
  `φ is late ${oneIn(s.exact)} by theory (really φ = ${number(s.really)}), ${oneIn(s.phi.share, s.found.heartbeats)} measured; ` +
  `Student's φ ${oneIn(s.student.share, s.found.heartbeats)}.`;

function table(s) {
  const row = (label, ...cells) => node("tr", {}, node("th", { scope: "row" }, label), ...cells.map((cell) => node("td", {}, cell)));
  return [
    node("thead", {}, node("tr", {}, node("td"),
      node("th", { scope: "col", class: "phi" }, "● φ, normal"), node("th", { scope: "col", class: "student" }, "■ φ, Student"))),
    node("tbody", {},
      row("Promised", oneIn(s.phi.promised), oneIn(s.student.promised)),
      row("By theory", oneIn(s.exact), oneIn(s.student.promised)),
      row("Measured", oneIn(s.phi.share, s.found.heartbeats), oneIn(s.student.share, s.found.heartbeats)),
      row("Patience", ...s.patience.map((deviations) => `mean + ${number(deviations)} σ`))),
  ];
}

function plane(s) {
  const x = scale(0, 8, PROMISE.left, PROMISE.right);
  const y = scale(0, 8, PROMISE.bottom, PROMISE.top);
  const at = x(s.threshold);
  return [
    ...promisePlane(x, y),
    node("svg:line", { class: "tie", x1: at, x2: at, y1: PROMISE.top, y2: PROMISE.bottom }),
    node("svg:path", { class: "phi curve", d: line(s.found.really.map((phi, k) => [x(s.thresholds[k]), y(phi)])) }),
    ...measured("student", s.found.student, s.thresholds, x, y, square("student")),
    ...measured("phi", s.found.phi, s.thresholds, x, y, dot("phi")),
  ];
}

function render({ model, el }) {
  const { window: windows, threshold: thresholds } = model.get("stops");
  const root = node("div", { class: "accrual", "data-widget": "small-windows" });
  const move = mover(model);
  const window = slider("window", "Window", windows.length, (index) => move("window", windows[index]));
  const threshold = slider("threshold", "Threshold Φ", thresholds.length, (index) => move("threshold", thresholds[index]));
  const results = node("table");
  const picture = node("svg:svg", { viewBox: "0 0 420 300", role: "img" });
  const words = node("p");
  const code = node("pre");

  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    window.show(s.row, count(s.window), `window of ${s.window} intervals: Phi = ${number(s.threshold)} is really ${number(s.really)}`);
    threshold.show(s.k, number(s.threshold), `Phi = ${number(s.threshold)}: really ${number(s.really)}`);
    results.replaceChildren(...table(s));
    picture.replaceChildren(...plane(s));
    picture.setAttribute("aria-label", `What each threshold promises, and what it keeps. ${now}`);
    words.textContent = now;
    code.textContent =
      `ac.calibration(trace, ac.PhiNormal(window=${s.window}), [${s.threshold}], skip=1000)\n` +
      `ac.calibration(trace, ac.PhiStudent(window=${s.window}), [${s.threshold}], skip=1000)`;
    mirror(root, {
      window: s.window, threshold: s.threshold, really: s.really, heartbeats: s.found.heartbeats,
      phiLate: s.phi.late, phiShare: s.phi.share, studentLate: s.student.late, studentShare: s.student.share,
      phiPatience: s.patience[0], studentPatience: s.patience[1],
    });
  };
  root.append(
    window.element, threshold.element,
    node("div", { class: "side" }, results, picture),
    words,
    node("details", {}, node("summary", KEYBOARD, "As code"), code),
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
