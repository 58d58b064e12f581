"""gtn_fast in other frameworks, with the real packages."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import gtn_fast
from gtn_fast.adapters import scikit_learn
from gtn_fast.adapters.scikit_learn import GTNLabeler

X = (3 * gtn_fast.normal(1, 0, 300, 4) + 1).astype(np.float64)


# ------------------------------------------------------------------ scikit-learn


# Of arrays of other libraries, which it does not promise to take, sklearn checks nothing.
CHECKS = [
    pytest.param(estimator, check, id=check.func.__name__)
    for estimator, check in estimator_checks_generator(GTNLabeler())
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_it_keeps_the_conventions(native, estimator, check):
    check(estimator)


def test_its_labels_are_those_of_label(native):
    labels = gtn_fast.label(X, seed=5)
    labeler = GTNLabeler(random_state=5)
    assert (labeler.fit_predict(X) == labels.y_index).all()
    y = labeler.transform(X)
    assert (y[labels.x_index] == labels.y).all()
    assert (labeler.inverse_transform(y) == X).all()
    # A row nearby goes where its neighbour went.
    assert (labeler.transform(X + 1e-9) == y).all()
    assert not (GTNLabeler(random_state=6).fit_transform(X) == y).any()


def test_a_pipeline_and_copies_of_it(native):
    pipeline = make_pipeline(StandardScaler(), GTNLabeler(method="tree", n_jobs=1))
    y = pipeline.fit_transform(X)
    scaled = StandardScaler().fit_transform(X)
    assert (y == gtn_fast.normal(0, 0, 300, 4)[gtn_fast.label(scaled).y_index]).all()
    assert (clone(pipeline).fit_transform(X) == y).all()
    assert (pickle.loads(pickle.dumps(pipeline)).transform(X) == y).all()
    back = pipeline.inverse_transform(y)
    assert np.allclose(back, X)


@pytest.mark.parametrize(("how", "text"), [({"method": "x"}, "method"), ({"n_jobs": 0}, "threads")])
def test_what_label_refuses(how, text):
    with pytest.raises(ValueError, match=text):
        GTNLabeler(**how).fit(X)


def test_its_example_runs(native):
    assert doctest.testmod(scikit_learn).failed == 0
