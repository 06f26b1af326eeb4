// Real servers beside what their parameters alone say. Measured and computed numbers both come from the library.

function situation(model) {
  const name = model.get("shown");
  const far = model.get("far");
  const { version, parameters, modes } = model.get("servers")[name];
  return { name, far, version, parameters, modes, which: Number(far) };
}

const computed = (mode, which) => `${mode.bound ? "at most " : ""}${number(mode.lost[which])}`;

const sentence = (s) =>
  `${s.name} ${s.version}, and the ${s.far ? "far" : "near"} replica is promoted. Acknowledged writes lost: ` +
  s.modes.map((mode) => `${mode.mode} ${mode.measured_lost[s.which]} (computed: ${computed(mode, s.which)})`).join(", ") + ".";

function table(s) {
  const group = (text) => node("th", { scope: "colgroup", colspan: 2, class: "group" }, text);
  const heads = ["computed", "measured"];
  return [
    node("thead", {},
      node("tr", {}, node("td"), group("a commit takes"), group("acknowledged a second"), group("acknowledged, and lost")),
      node("tr", {}, node("td"), ...[0, 1, 2].flatMap(() => heads.map((head) => node("th", { scope: "col" }, head))))),
    node("tbody", {}, ...s.modes.map((mode) =>
      node("tr", {},
        node("th", { scope: "row" }, mode.mode),
        node("td", {}, mode.latency ? seconds(mode.latency) : "no round trip"), node("td", {}, seconds(mode.measured_latency)),
        node("td", {}, count(mode.acknowledged)), node("td", {}, count(mode.measured_acknowledged)),
        node("td", {}, computed(mode, s.which)),
        node("td", { class: mode.measured_lost[s.which] ? "lost" : "" }, count(mode.measured_lost[s.which]))))),
  ];
}

function render({ model, el }) {
  const names = Object.keys(model.get("servers"));
  const root = node("div", { class: "accrual", "data-widget": "real-servers" });
  const move = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const shown = node("select", { "data-choice": "shown", ...KEYBOARD });
  shown.append(...names.map((name) => node("option", { value: name }, name)));
  shown.addEventListener("change", () => move("shown", shown.value));
  const far = node("input", { type: "checkbox", "data-switch": "far", ...KEYBOARD });
  far.addEventListener("change", () => move("far", far.checked));
  const results = node("table");
  const words = node("p", { "aria-live": "polite" });
  const about = node("p");

  const draw = () => {
    const s = situation(model);
    shown.value = s.name;
    far.checked = s.far;
    results.replaceChildren(...table(s));
    words.textContent = sentence(s);
    about.textContent =
      `${s.parameters.clients} clients offer ${count(s.parameters.rate)} writes a second. One way to the near replica takes ` +
      `${seconds(s.parameters.delay)}, to the far one ${seconds(s.parameters.far)}.`;
    const state = { shown: s.name, far: s.far };
    s.modes.forEach((mode, k) => {
      state[`lost${k}`] = mode.measured_lost[s.which];
      state[`computed${k}`] = mode.lost[s.which];
    });
    mirror(root, state);
  };
  root.append(
    node("div", { class: "row" }, names.length > 1 ? node("label", {}, "Server ", shown) : null, node("label", { class: "check" }, far, "The far replica is promoted")),
    results, words, about,
  );
  model.on("change", draw);
  draw();
  el.append(root);
  return () => model.off("change", draw);
}

export default { render };
