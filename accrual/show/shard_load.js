// Shards side by side: how many users each has (bars), what share of the requests it gets (lines), and one that dies.

const BOX = { left: 52, right: 744, top: 30, bottom: 210 };

function situation(model) {
  const [shards, skew] = [model.get("shards"), model.get("skew")];
  const number_of_shards = model.get("numbers")[shards];
  const { users, requests } = model.get("loads")[shards][skew];
  const killed = Math.min(model.get("killed"), number_of_shards - 1);
  const { skew: power, most } = model.get("skews")[skew];
  return { shards, skew, n: number_of_shards, users, requests, killed, power, most };
}

const sentence = (s) =>
  `1,000 users on ${plural(s.n, "shard")}. Shard ${s.killed + 1} dies: ${plural(s.users[s.killed], "user")} cut off ` +
  `(${number(s.users[s.killed] / 10)} %), and ${number(100 * s.requests[s.killed])} % of the requests. The hottest shard gets ` +
  `${number(100 * s.requests[0])} % of the requests, where an even share would be ${number(100 / s.n)} %; the busiest user alone asks for ${number(100 * s.most)} %.`;

function picture(s) {
  const top = Math.max(...s.requests, ...s.users.map((users) => users / 1000)) * 1.08;
  const y = scale(0, top, BOX.bottom, BOX.top);
  const width = (BOX.right - BOX.left) / s.n;
  const gap = Math.min(width * 0.15, 8);
  return [
    node("svg:text", { x: BOX.left, y: 16 }, "bars: share of the users; lines: share of the requests; ✗: the shard that dies"),
    ...rounds(0, top).flatMap((share) => [
      node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(share), y2: y(share) }),
      node("svg:text", { class: "end", x: BOX.left - 8, y: y(share) + 4 }, `${number(100 * share)} %`),
    ]),
    ...s.users.map((users, k) =>
      node("svg:rect", {
        class: k === s.killed ? "dead" : "held", x: BOX.left + k * width + gap, y: y(users / 1000),
        width: width - 2 * gap, height: BOX.bottom - y(users / 1000),
      }, node("svg:title", {}, `shard ${k + 1}: ${users} users, ${number(100 * s.requests[k])} % of the requests`))),
    node("svg:text", { class: "fixed middle over-lines", x: BOX.left + (s.killed + 0.5) * width, y: y(s.users[s.killed] / 1000) - 5 }, "✗"),
    ...s.requests.map((share, k) =>
      node("svg:line", { class: "asked", x1: BOX.left + k * width + gap / 2, x2: BOX.left + (k + 1) * width - gap / 2, y1: y(share), y2: y(share) })),
    node("svg:line", { class: "tie", x1: BOX.left, x2: BOX.right, y1: y(1 / s.n), y2: y(1 / s.n) }),
    node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 18 }, "shards, those with most requests first; dotted: an even share"),
  ];
}

function render(page) {
  const { model } = page;
  const [numbers, skews] = [model.get("numbers"), model.get("skews")];
  const move = mover(model);
  const shards = slider("shards", "Shards", numbers.length, (index) => move("shards", index));
  const skew = slider("skew", "Skew of activity", skews.length, (index) => move("skew", index));
  const killed = slider("killed", "Shard that dies", Math.max(...numbers), (index) => move("killed", Math.min(index, numbers[model.get("shards")] - 1)));
  const { root, show, mount } = framed(page, "shard-load", "0 0 760 236", [node("div", { class: "controls" }, shards.element, skew.element, killed.element)]);
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    show(now, picture(s), `spread = iso.assign("shards", 1000, ${s.n}, 1)\nspread.load(iso.activity(1000, skew=${s.power})).max()`);
    shards.show(s.shards, count(s.n), now);
    skew.show(s.skew, s.power === 0 ? "all alike" : number(s.power), now);
    killed.element.querySelector("input").max = s.n - 1;
    killed.show(s.killed, count(s.killed + 1), now);
    mirror(root, {
      n: s.n, skew: s.power, killed: s.killed, cut: s.users[s.killed], lost: s.requests[s.killed],
      hottest: s.requests[0], most: s.most, fullest: Math.max(...s.users),
    });
  };
  return mount(draw);
}

export default { render };
