// Users hurt against the size of the canary: every run a ring, their mean a line; and what nobody watches.

const BOX = { left: 60, right: 744, top: 30, bottom: 230 };

function situation(model) {
  const [share, bug] = [model.get("share"), model.get("bug")];
  const [watched, unwatched] = [model.get("watched")[bug], model.get("unwatched")[bug]];
  return { share, bug, shares: model.get("shares"), of: model.get("shares")[share], fails: model.get("bugs")[bug], watched, unwatched, now: watched[share], alone: unwatched[share] };
}

function sentence(s) {
  const runs = s.now.hurt.length;
  const back = s.now.taken_back ? `taken back in ${s.now.taken_back} of ${runs} runs, after ${seconds(s.now.detection)} (median)` : `taken back in none of ${runs} runs`;
  const sound = s.fails <= 0.001;
  return (
    `A canary of ${number(100 * s.of)} % of 1,000 users, ${number(s.now.exposed)} on average. ${sound ? "The new version is as good as the old one" : "It has a bug"}: ` +
    `${number(100 * s.fails)} % of its requests fail. It is ${back}${sound && s.now.taken_back ? ", a false alarm" : ""}. ${number(s.now.mean)} users hurt on average ` +
    `(${Math.min(...s.now.hurt)} to ${Math.max(...s.now.hurt)}); unwatched, ${number(s.alone.mean)} within a minute.`
  );
}

function picture(s) {
  const x = scale(s.shares[0], 1, BOX.left + 14, BOX.right - 14, true);
  const y = scale(0.5, 1000, BOX.bottom, BOX.top, true);
  const path = (runs) => line(runs.map((run, k) => [x(s.shares[k]), y(run.mean)]));
  return [
    node("svg:text", { x: BOX.left, y: 16 }, "users hurt, of 1,000"),
    ...[1, 10, 100, 1000].flatMap((users) => [
      node("svg:line", { class: "grid", x1: BOX.left, x2: BOX.right, y1: y(users), y2: y(users) }),
      node("svg:text", { class: "end", x: BOX.left - 8, y: y(users) + 4 }, count(users)),
    ]),
    ...s.shares.map((share) => node("svg:text", { class: "middle", x: x(share), y: BOX.bottom + 18 }, `${number(100 * share)} %`)),
    node("svg:text", { class: "end", x: BOX.right, y: BOX.bottom + 36 }, "size of the canary"),
    node("svg:line", { class: "tie", x1: x(s.of), x2: x(s.of), y1: BOX.top, y2: BOX.bottom }),
    node("svg:path", { class: "fixed curve", d: path(s.unwatched) }),
    node("svg:path", { class: "phi curve", d: path(s.watched) }),
    ...s.watched.flatMap((run, k) => run.hurt.map((hurt) => node("svg:circle", { class: "one-run", cx: x(s.shares[k]), cy: y(hurt), r: 3 }))),
    node("svg:rect", { class: "fixed mark", x: x(s.of) - 7, y: y(s.alone.mean) - 7, width: 14, height: 14 }),
    node("svg:circle", { class: "phi mark", cx: x(s.of), cy: y(s.now.mean), r: 6.5 }),
    node("svg:text", { class: "fixed end over-lines", x: BOX.right - 14, y: BOX.bottom - 30 }, "■ unwatched, after a minute"),
    node("svg:text", { class: "phi end over-lines", x: BOX.right - 14, y: BOX.bottom - 12 }, "● taken back when suspected; ○ each run"),
  ];
}

function render(page) {
  const { model } = page;
  const [shares, bugs] = [model.get("shares"), model.get("bugs")];
  const move = mover(model);
  const share = slider("share", "Canary", shares.length, (index) => move("share", index));
  const bug = slider("bug", "Requests that fail", bugs.length, (index) => move("bug", index));
  const { root, show, mount } = framed(page, "canaries", "0 0 760 272", [node("div", { class: "controls" }, share.element, bug.element)]);
  const draw = () => {
    const s = situation(model);
    const now = sentence(s);
    show(now, picture(s), `iso.release(ac.FixedTimeout(period=1.0), threshold=3, share=${s.of}, bug=${s.fails}, released=20, duration=80, seed=0)`);
    share.show(s.share, `${number(100 * s.of)} %`, now);
    bug.show(s.bug, `${number(100 * s.fails)} %`, now);
    mirror(root, {
      share: s.of, bug: s.fails, hurt: s.now.mean, takenBack: s.now.taken_back, detection: s.now.detection, alone: s.alone.mean,
    });
  };
  return mount(draw);
}

export default { render };
