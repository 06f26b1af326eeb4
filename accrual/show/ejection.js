// Wrong ejections against detection time, phi and k x T, on a fleet; both at the same detection time.

const PLOT = { left: 62, right: 744, top: 30, bottom: 230 };

function situation(model) {
  const stops = model.get("stops");
  const threshold = model.get("threshold");
  const index = stops.indexOf(threshold);
  const name = model.get("shown");
  const fleet = model.get("fleets")[name];
  const pick = (field) => fleet[field][index];
  return {
    name, fleet, threshold, index, detection: pick("detection_time"), k: pick("k"), phi: pick("phi"), fixed: pick("fixed"),
    near: pick("near"), far: pick("far"), apart: pick("apart"),
  };
}

function verdict(s) {
  if (!s.apart) return "no difference beyond chance";
  const [better, few, many] = s.phi < s.fixed ? ["φ", s.phi, s.fixed] : ["k × T", s.fixed, s.phi];
  return few ? `${better} ejects wrongly less often, by a factor of ${number(many / few)}` : `${better} never ejects wrongly here`;
}

const sentence = (s) =>
  `${s.name}: both eject a dead server after ${seconds(s.detection)}, on average over the fleet. Φ = ${number(s.threshold)} ejects sound servers ` +
  `${count(s.phi)} times in ${number(s.fleet.hours, 2)} server-hours, k = ${number(s.k)} does so ${count(s.fixed)} times: ${verdict(s)}. ` +
  `φ waits ${seconds(s.near)} for the first server and ${seconds(s.far)} for the last one; k × T ${seconds(s.detection)} for each.`;

function picture(s) {
  const { detection_time: times, phi, fixed } = s.fleet;
  const x = scale(0.12, 0.9, PLOT.left, PLOT.right, true);
  const y = scale(0.5, 60000, PLOT.bottom, PLOT.top, true);
  const path = (values) => line(values.map((value, k) => [x(times[k]), y(value)]));
  return [
    node("svg:text", { x: PLOT.left, y: 16 }, "wrong ejections (none: on the bottom line); lower is better"),
    ...[1, 10, 100, 1000, 10000].flatMap((number_of) => [
      node("svg:line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y(number_of), y2: y(number_of) }),
      node("svg:text", { class: "end", x: PLOT.left - 8, y: y(number_of) + 4 }, count(number_of)),
    ]),
    node("svg:line", { class: "axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.bottom, y2: PLOT.bottom }),
    ...[0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8].map((time) => node("svg:text", { class: "middle", x: x(time), y: PLOT.bottom + 18 }, seconds(time))),
    node("svg:text", { class: "end", x: PLOT.right, y: PLOT.bottom + 36 }, "detection time, the same for both"),
    node("svg:line", { class: "tie", x1: x(s.detection), x2: x(s.detection), y1: PLOT.top, y2: PLOT.bottom }),
    node("svg:path", { class: "fixed curve", d: path(fixed) }),
    node("svg:path", { class: "phi curve", d: path(phi) }),
    node("svg:rect", { class: "fixed mark", x: x(s.detection) - 7, y: y(s.fixed) - 7, width: 14, height: 14 }),
    node("svg:circle", { class: "phi mark", cx: x(s.detection), cy: y(s.phi), r: 6 }),
    node("svg:text", { class: "phi end", x: PLOT.right, y: PLOT.top + 14 }, "● φ, one Φ for all servers"),
    node("svg:text", { class: "fixed end", x: PLOT.right, y: PLOT.top + 32 }, "■ k × T, one k for all servers"),
  ];
}

function render(page) {
  const { model } = page;
  const stops = model.get("stops");
  const move = mover(model);
  const choice = chooser("shown", "Fleet", Object.keys(model.get("fleets")), (name) => move("shown", name));
  const threshold = slider("threshold", "Threshold Φ", stops.length, (index) => move("threshold", stops[index]));
  const { root, show, mount } = framed(page, "ejection", "0 0 760 272", [choice.element, threshold.element]);
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    show(now, picture(s), `accrual.show.users.ejections("${s.name}", [${s.threshold}])`);
    choice.show(s.name);
    threshold.show(s.index, number(s.threshold), now);
    mirror(root, {
      shown: s.name, threshold: s.threshold, detection: s.detection, k: s.k, phi: s.phi, fixed: s.fixed, near: s.near, far: s.far, apart: s.apart,
    });
  };
  return mount(draw);
}

export default { render };
