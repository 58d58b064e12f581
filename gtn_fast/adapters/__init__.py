"""gtn_fast in the conventions of other frameworks, a short file for each; no engine of its own.

scikit_learn.py  GTNLabeler, an estimator: fit, fit_predict, transform, inverse_transform
lightning.py     LabeledPairsModule, a data module: labeled pairs in batches
"""
