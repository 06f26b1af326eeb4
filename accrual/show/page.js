// The part of a kernel that a page needs: it keeps the state of the widgets, and tells them of changes.
const states = JSON.parse(document.getElementById("models").textContent);

function model(state, place) {
  const listeners = new Map();
  let before = {};
  const emit = (name) => (listeners.get(name) ?? []).forEach((listener) => listener());
  const note = (text) => {
    place.querySelector(".note")?.remove();
    const made = Object.assign(document.createElement("p"), { className: "note", textContent: text });
    place.append(made);
  };
  return {
    get: (name) => state[name],
    set(name, value) {
      if (!(name in before)) before[name] = state[name];
      state[name] = value;
    },
    save_changes() {
      const changed = before;
      before = {};
      const tell = (names) => {
        names.forEach((name) => emit(`change:${name}`));
        emit("change");
      };
      tell(Object.keys(changed));
      if (place.querySelector('[data-busy="true"]')) {
        Object.assign(state, changed); // only the kernel could have answered
        tell(Object.keys(changed));
        note("This control needs the lesson itself, opened in Jupyter.");
      } else place.querySelector(".note")?.remove();
    },
    on(names, listener) {
      for (const name of names.split(" ")) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
    off(names, listener) {
      for (const name of names.split(" ")) listeners.set(name, (listeners.get(name) ?? []).filter((other) => other !== listener));
    },
    send() {
      note("This is a page without a kernel; open the lesson in Jupyter.");
      return false;
    },
  };
}

for (const place of document.querySelectorAll("[data-model]")) {
  const state = states[place.dataset.model];
  const address = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  const { default: widget } = await import(address);
  URL.revokeObjectURL(address);
  const style = Object.assign(document.createElement("style"), { textContent: state._css ?? "" });
  const el = document.createElement("div");
  place.replaceChildren(style, el);
  await widget.render({ model: model(state, place), el });
}
