"""A lesson's page as its tests see it: widgets by their numbers, and screenshots."""

import numpy as np

from accrual.show import phi


class Widget:
    """A widget of the lesson: its sliders, and the numbers that it mirrors in its data attributes."""

    def __init__(self, lesson, name, number=0):
        self.page = lesson.page
        self.root = self.page.locator(f'[data-widget="{name}"]').nth(number)
        self.root.wait_for()

    def __getitem__(self, name):
        return float(self.root.get_attribute(f"data-{name}").replace("false", "0").replace("true", "1"))

    def slider(self, name):
        return self.root.locator(f'[data-slider="{name}"]')

    def press(self, name, *keys):
        self.slider(name).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def spoken(self, name):
        return self.slider(name).get_attribute("aria-valuetext")

    def wait(self, name, value):
        """Until the kernel's answer is there."""
        self.page.wait_for_function(
            "([root, name, value]) => root.dataset[name] === value && root.dataset.busy === 'false'",
            arg=[self.root.element_handle(), name, str(value)],
            timeout=20_000,
        )

    def shows(self, detector, found):
        """Whether the numbers under `detector` are those of a QoS."""
        for field in phi.METRICS:
            shown = self[f"{detector}-{field.replace('_', '-')}"]
            np.testing.assert_equal(shown, float(getattr(found, field)), err_msg=field)
        return True


def active_cell(lesson):
    return lesson.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex")


def screenshots(lesson, artefacts):
    """Kept to be looked at: the whole lesson, light and dark, and each widget."""
    page, name = lesson.page, lesson.name.removesuffix(".ipynb")
    panel = page.locator(".jp-NotebookPanel-notebook .jp-WindowedPanel-outer")
    height = panel.evaluate("panel => panel.querySelector('.jp-WindowedPanel-inner').offsetHeight")
    for theme in ("Light", "Dark"):
        lesson.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg="true" if theme == "Light" else "false"
        )
        page.set_viewport_size({"width": 1280, "height": height + 200})
        panel.evaluate("panel => panel.scrollTo(0, 0)")
        page.screenshot(path=artefacts / f"{name}-{theme.lower()}.png")
        page.set_viewport_size({"width": 1280, "height": 1000})
        for number, widget in enumerate(page.locator("[data-widget]").all()):
            widget.screenshot(path=artefacts / f"{name}-{theme.lower()}-{number}.png")
