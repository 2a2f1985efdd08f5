from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from adapter.datasets.bundled import DIGITS, read_demo, read_digits
from adapter.datasets.errors import DatasetError
from adapter.drawings import DEMO_CLASSES, demo_image
from adapter.images import open_image


def test_every_other_digit_is_for_testing() -> None:
    dataset = read_digits("digits")
    assert dataset.labels == DIGITS
    assert len({each.name for each in (*dataset.train, *dataset.test)}) == 1797
    for part, parity in ((dataset.train, 0), (dataset.test, 1)):
        assert all(int(each.name.removesuffix(".png")[-4:]) % 2 == parity for each in part)
        assert min(Counter(each.target for each in part).values()) > 70
    assert read_digits("digits").test[0].name == dataset.test[0].name


def test_a_digit_is_dark_ink_on_light_ground() -> None:
    picture = next(each for each in read_digits("digits").train if each.target == 3)
    word, number = picture.name.removesuffix(".png").split("/")
    assert word == "three"
    image = open_image(picture.read())
    assert image.pixels.shape == (3, 64, 64)
    grey = image.pixels.double().mean(0)
    small = grey.view(8, 8, 8, 8).mean((1, 3)).numpy()
    ink = load_digits().images[int(number)]
    assert np.corrcoef(small.ravel(), ink.ravel())[0, 1] < -0.9


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DatasetError, match="install scikit-learn"):
        read_digits("digits")


def test_the_demo_draws_from_seeds_of_its_own() -> None:
    dataset = read_demo("demo")
    assert dataset.labels == DEMO_CLASSES
    assert Counter(each.target for each in dataset.train) == dict.fromkeys(range(12), 60)
    assert Counter(each.target for each in dataset.test) == dict.fromkeys(range(12), 50)
    picture = dataset.test[0]
    assert picture.name == f"test/{DEMO_CLASSES[0]}/20000.png"
    drawn = demo_image(DEMO_CLASSES[0], 20_000)
    assert np.array_equal(open_image(picture.read()).rows, np.asarray(drawn))
