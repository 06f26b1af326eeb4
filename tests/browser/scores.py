"""What lessons 2 and 4 show of a quality of service, compared with the library's."""

import numpy as np

from accrual.show import phi


def shows(widget, detector, found):
    """Whether the numbers that a widget mirrors under `detector` are those of a QoS."""
    for field in phi.METRICS:
        shown = widget[f"{detector}-{field.replace('_', '-')}"]
        np.testing.assert_equal(shown, float(getattr(found, field)), err_msg=field)
    return True
