// Text or a table that the kernel has made and escaped.

function render({ model, el }) {
  const root = node("div", { class: "accrual", "data-widget": "words" });
  const draw = () => (root.innerHTML = model.get("html"));
  model.on("change:html", draw);
  draw();
  el.append(root);
  return () => model.off("change:html", draw);
}

export default { render };
