// What the pictures of lesson 5 share: the plane of what Phi promises and what it really is, and words for shares. It is
// put between controls.js and the files of the widgets that draw them.

const PROMISE = { left: 88, right: 404, top: 22, bottom: 258, most: 8 };

/** A share as people say it: "2 %", and beyond that "1 in 240"; `none` of how many where there was none. */
function oneIn(share, heartbeats) {
  if (share === 0) return heartbeats ? `none in ${count(heartbeats)}` : "none";
  return share > 0.2 ? `${number(100 * share, 3)} %` : `1 in ${number(1 / share, 3)}`;
}


/** How often more, or more seldom, something happens than was promised, as far as that is not chance. */
function times({ share, promised, verdict }) {
  if (share === 0) return "none";
  if (verdict === "kept") return "as promised";
  const factor = share / promised;
  if (Math.abs(Math.log(factor)) < 0.05) return "as promised";
  return factor >= 1 ? `${number(factor, 3)} × too often` : `${number(1 / factor, 3)} × more seldom`;
}

/** -log10, no more than the plane's height. */
const phiOf = (share) => Math.min(share > 0 ? -Math.log10(share) : PROMISE.most, PROMISE.most);

/** Axes of the plane, the dotted diagonal where promises are kept, and the side on which they are not. */
function promisePlane(x, y) {
  const powers = [1, 2, 3, 4, 5, 6, 7, 8];
  return [
    node("svg:path", { class: "lies", d: `M${x(0)},${y(0)}L${x(8)},${y(8)}V${y(0)}Z` }),
    ...powers.flatMap((power) => [
      node("svg:line", { class: "grid", x1: PROMISE.left, x2: PROMISE.right, y1: y(power), y2: y(power) }),
      node("svg:text", { class: "end", x: PROMISE.left - 6, y: y(power) + 4 }, count(10 ** power)),
      node("svg:text", { class: "middle", x: x(power), y: PROMISE.bottom + 16 }, power),
    ]),
    node("svg:text", { x: 4, y: 12 }, "measured: one late heartbeat in …"),
    node("svg:text", { class: "end", x: PROMISE.right, y: PROMISE.bottom + 34 }, "Φ, which promises one in 10",
      node("svg:tspan", { dy: -4, "font-size": 9 }, "Φ")),
    node("svg:line", { class: "promise", x1: x(0), y1: y(0), x2: x(8), y2: y(8) }),
  ];
}

/** Where each share was measured: a mark with its 95 % interval; hollow, and without, where fewer than ten were late. */
function measured(name, table, thresholds, x, y, shape) {
  return table.share.flatMap((share, k) => {
    if (!share) return [];
    const [cx, cy] = [x(thresholds[k]), y(phiOf(share))];
    if (table.late[k] < 10) {
      const few = shape(cx, cy);
      few.setAttribute("class", `${name} open`);
      few.append(node("svg:title", {}, `only ${plural(table.late[k], "late heartbeat")}`));
      return [few];
    }
    return [
      ...(table.low[k] == null ? [] : [
        node("svg:line", { class: `${name} error`, x1: cx, x2: cx, y1: y(phiOf(table.high[k])), y2: y(phiOf(table.low[k])) }),
      ]),
      shape(cx, cy),
    ];
  });
}

const dot = (name) => (x, y) => node("svg:circle", { class: `${name} mark`, cx: x, cy: y, r: 4.5 });
const square = (name) => (x, y) => node("svg:rect", { class: `${name} mark`, x: x - 4.5, y: y - 4.5, width: 9, height: 9 });
const diamond = (name) => (x, y) => node("svg:path", { class: `${name} mark`, d: `M${x},${y - 6.5}l6,6.5l-6,6.5l-6,-6.5Z` });

