"""Answers to the question of lesson 0."""

import math

import numpy as np

import accrual as ac

RIGHT = {"00.1": [105_000, len(ac.load("idle")), ac.load("idle").arrivals.size, np.float64(105_000), "105_000"]}

WRONG = {"00.1": [1050, 104_999, 105_001, 0, -1, 10, math.nan, math.inf, "idle", ac.load("idle"), len]}

GIVEN_AWAY = {"00.1": "105"}
"""What no hint may say."""
